"""Which keys etcd's configuration file knows, per minor version, and of which type.

etcd accepts unknown keys silently, so a misspelt setting would never take effect and nobody would
know. Sources: `embed.Config` and `etcdmain/config.go` of release-3.4 to release-3.7, and the
upgrade guides (upgrade_3_6: renames of `experimental-*`; upgrade_3_7: their removal).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Written by Quoracy itself; setting them beside the spec would contradict it.
MANAGED = {
    "name": "hosts[].name",
    "data-dir": "directories.data",
    "wal-dir": "directories.wal",
    "listen-peer-urls": "hosts[].peer_address and ports.peer",
    "listen-client-urls": "hosts[].address and ports.client",
    "initial-advertise-peer-urls": "hosts[].peer_address",
    "advertise-client-urls": "hosts[].address",
    "initial-cluster": "hosts",
    "initial-cluster-state": "the deploy itself",
    "initial-cluster-token": "the deploy itself",
    "force-new-cluster": "a restore",
    "client-transport-security": "tls",
    "peer-transport-security": "tls",
    "heartbeat-interval": "etcd.heartbeat_interval_ms",
    "election-timeout": "etcd.election_timeout_ms",
    "quota-backend-bytes": "etcd.quota_backend_bytes",
    "auto-compaction-mode": "etcd.auto_compaction_mode",
    "auto-compaction-retention": "etcd.auto_compaction_retention",
    "snapshot-count": "etcd.snapshot_count",
    "metrics": "etcd.metrics",
    "log-level": "etcd.log_level",
    "experimental-initial-corrupt-check": "etcd.corruption_check",
    "feature-gates": "etcd.corruption_check",
    "logger": "the deploy itself",
    "log-outputs": "the deploy itself",
}

_COMMON: dict[str, type] = {
    "max-snapshots": int,
    "max-wals": int,
    "initial-election-tick-advance": bool,
    "backend-batch-interval": int,
    "backend-batch-limit": int,
    "backend-bbolt-freelist-type": str,
    "max-txn-ops": int,
    "max-request-bytes": int,
    "listen-metrics-urls": str,
    "cipher-suites": list,
    "strict-reconfig-check": bool,
    "grpc-keepalive-min-time": int,
    "grpc-keepalive-interval": int,
    "grpc-keepalive-timeout": int,
    "pre-vote": bool,
    "cors": str,
    "host-whitelist": str,
    "auth-token": str,
    "bcrypt-cost": int,
    "auth-token-ttl": int,
    "enable-pprof": bool,
    "enable-grpc-gateway": bool,
}
_SINCE_3_5: dict[str, type] = {
    "unsafe-no-fsync": bool,
    "self-signed-cert-validity": int,
    "socket-reuse-port": bool,
    "socket-reuse-address": bool,
    "enable-log-rotation": bool,
    "log-rotation-config-json": str,
    "max-concurrent-streams": int,
    "tls-min-version": str,
    "tls-max-version": str,
}
# Named `experimental-X` up to 3.5, either way in 3.6, and `X` alone from 3.7 on.
_EXPERIMENTAL: dict[str, type] = {
    "corrupt-check-time": int,
    "compaction-batch-limit": int,
    "memory-mlock": bool,
    "peer-skip-client-san-verification": bool,
    "watch-progress-notify-interval": int,
    "warning-apply-duration": int,
    "bootstrap-defrag-threshold-megabytes": int,
    "max-learners": int,
    "snapshot-catchup-entries": int,
    "warning-unary-request-duration": int,
    "compact-hash-check-time": int,
    "compaction-sleep-interval": int,
    "downgrade-check-time": int,
}
_V2: dict[str, type] = {"enable-v2": bool, "proxy": str, "experimental-enable-v2v3": str}


def known_keys(version: str) -> Mapping[str, type]:
    """Keys of the configuration file that the version knows and the spec leaves to the user."""
    major, minor, _ = (int(part) for part in version.split("."))
    keys = dict(_COMMON)
    if (major, minor) <= (3, 5):
        keys |= _V2
    if (major, minor) >= (3, 5):
        keys |= _SINCE_3_5
    if (major, minor) <= (3, 6):
        keys |= {f"experimental-{key}": kind for key, kind in _EXPERIMENTAL.items()}
    if (major, minor) >= (3, 6):
        keys |= _EXPERIMENTAL
    return keys


def lint_extra_keys(version: str, extra: Mapping[str, Any]) -> None:
    """Refuse keys that the version would ignore, keys of the wrong type, and keys of the spec.

    Raises:
        ValueError: With the key, and what to do instead.
    """
    known = known_keys(version)
    for key, value in extra.items():
        if key in MANAGED:
            raise ValueError(f"{key} is set by {MANAGED[key]}")
        if key not in known:
            other = f"experimental-{key}" if not key.startswith("experimental-") else key[13:]
            hint = f"; {version} calls it {other}" if other in known else ""
            raise ValueError(f"etcd {version} has no key {key[:60]!r}{hint}")
        kind = known[key]
        # bool is an int in Python, and etcd dies on a bool where it wants a number.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"{key} must be of type {kind.__name__}, not {_short(value)}")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise ValueError(f"{key} must be a list of texts, not {_short(value)}")


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
