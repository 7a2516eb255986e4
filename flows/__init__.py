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
"""
