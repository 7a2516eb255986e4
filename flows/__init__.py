"""The operations: one file, one flow, one deployment (and its presets), one verb of the command line.

| operation            | changes                                | refuses                                           |
|----------------------|----------------------------------------|---------------------------------------------------|
| `etcd-deploy`        | creates a cluster, or rolls its        | topology changes, unsafe versions, lost quorum,   |
|                      | members to another version, settings   | expired or differing certificates, unasked        |
|                      | or unit                                | downtime                                          |
| `operation-rollback` | puts back what the last operation has  | hosts that do not answer, lost quorum, a create   |
|                      | left half done                         | that serves already                               |
| `reconcile`          | journal, leases and runs of processes  | nothing; asks and touches no host                 |
|                      | that are gone                          |                                                   |
| `service-redeploy`   | a service's code on its hosts: a new   | a port that something else holds, a missing       |
|                      | release, link, unit, process           | runtime, files that nobody has named              |
| `service-rollback`   | link, unit and process, to a release   | a release that a host does not have any more      |
|                      | that is still there                    |                                                   |
"""
