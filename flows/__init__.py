"""The operations: one file, one flow, one deployment (and its presets), one verb of the command line.

| operation     | changes                                    | refuses                                              |
|---------------|--------------------------------------------|------------------------------------------------------|
| `etcd-deploy` | creates a cluster, or rolls its members    | topology changes, unsafe versions, lost quorum,      |
|               | to another version, settings or unit       | expired or differing certificates, unasked downtime  |
"""
