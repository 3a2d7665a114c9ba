"""What each setting of node.yaml is for, in one line: the page and ``node config show`` tell it.

The reference (docs/reference/node-yaml.md) has more: types, defaults, and what goes with what.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SETTING_HELP: Mapping[str, str] = MappingProxyType(
    {
        "node_id": "auto: the id comes from the node's key",
        "node_name": "what the node is called",
        "node_tags": "words that the pool shows, and that commands can ask for",
        "node_role": "worker, or observer: it only watches",
        "resource_limits.cpu.max_cores": "how many cores commands may use",
        "resource_limits.cpu.reserved_cores": "CPUs that commands leave to others",
        "resource_limits.memory.max_gb": "how much memory is offered, in GiB",
        "resource_limits.memory.reserved_gb": "memory that is kept for others, in GiB",
        "resource_limits.storage": "directories that may be used, for what, and how much of each",
        "tool_overrides": "where tools really are, or that they do not count",
        "network.listen_address": "the address that the node listens on",
        "network.listen_port": "the port that it listens on; 0: any free one",
        "network.advertise_address": "where others can reach it; else its interfaces' addresses",
        "network.peers": "nodes that are dialled again for ever",
        "network.discovery": "whether it is announced on the local network, and finds others there",
        "network.proxies": "whether it dials through the environment's proxies",
        "network.bulk_limit": "how much of blobs it sends in a second, to all others together",
        "network.tls": "certificate and key that its port answers TLS with",
        "scheduling.accept_remote_builds": "whether it runs commands of others",
        "scheduling.accept_changes": "whether the cluster's admins may narrow its limits",
        "scheduling.fetch_ahead": "whether it fetches what commands of others will need",
        "scheduling.priority_weight": "how much it is preferred for commands of others; usual: 1",
        "scheduling.time_restrictions.local_only_hours": "when it begins no commands of others",
        "scheduling.hold_outputs": "how long it keeps what it made of a build whose node was lost",
        "cache.max_gb": "how large the store may grow, in GiB",
        "cache.scrub_interval": "the pause between two readings of all blobs for damage",
        "workers.min": "so many commands at once at least, however few cores there are",
        "workers.max": "how many commands run at once",
        "workers.redundancy_factor": "commands at once for each core that may be used",
        "workers.timeout": "how long a command may take that declares nothing",
        "workers.output_limit": "how much is kept of what a command prints",
        "workers.isolation": "the level of packages that name none",
        "workers.memory": "what all processes of one command may use together",
        "workers.processes": "how many processes one command may have",
        "workers.disk": "how much one command may write",
        "workers.control_group": "the control group that commands are limited in (Linux)",
        "install.npmrc": "what installs of dependencies find as ~/.npmrc",
        "install.env": "variables of whoever builds that installs get",
        "ledger.retention": "how long it is kept what sealed entries say",
        "ledger.scrub_interval": "the pause between two readings of the ledger for damage",
        "ledger.encryption.key_file": "the key that the ledger's file is encrypted with",
        "ledger.encryption.former_key_file": "the key that it was encrypted with before",
        "sessions.idle": "the longest pause before somebody has to log in again",
        "sessions.lifetime": "when somebody has to log in again in any case",
        "sessions.per_person": "how many sessions one person may have",
        "log.level": "how much is logged",
        "log.format": "how it is written: for people, or as JSON",
        "telemetry.endpoint": "the collector that traces of builds are sent to",
        "access.workspaces": "directories whose workspaces may be built over the network",
        "access.environment": "variables that such a build may set",
        "watch.debounce_ms": "how long nothing may have changed before a build begins",
        "watch.longest_wait_ms": "when it begins though changes go on",
        "watch.scan_interval_ms": "how often sources are looked through where changes are not told",
        "watch.exclude_patterns": "paths whose changes begin no build",
        "watch.directories": "workspaces that the node watches by itself",
        "watch.preemptive_prepare": "whether it reads at once what changes there",
        "auto_build.enabled": "whether it builds them, too",
        "auto_build.delay_ms": "how long it waits with that besides watch.debounce_ms",
        "auto_build.max_concurrent_builds": "how many of these builds run at once",
        "auto_build.priority_paths": "directories whose packages are built first, without delay",
    }
)
