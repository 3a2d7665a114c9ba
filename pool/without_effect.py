"""Settings that this version takes, keeps and shows, but does not go by; pure.

Whoever says one of them is told so: a setting without effect must not look like one that has some.
A value that is the default is not told: it asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from buildnet.pool.configuration import LOCAL, BuildConfiguration
from buildnet.pool.profile import Profile

_NO_EFFECT = "has no effect in this version"


def warnings_of_configuration(
    used: BuildConfiguration, here: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Return a sentence for each key of a configuration that has no effect. ``here``: the names of
    the node that is asked for the build."""
    return tuple(_of_configuration(used, here | {LOCAL}))


def _of_configuration(used: BuildConfiguration, here: frozenset[str]) -> Iterator[str]:
    resources = used.resources
    for number, one in enumerate(resources.cpu.node_allocations):
        if one.specific_cores and one.node_id not in here:
            yield (
                f"resources.cpu.node_allocations[{number}].specific_cores {_NO_EFFECT} but for how "
                f"many it names, unless {one.node_id} itself is asked for the build: which CPUs "
                "other nodes give is up to them"
            )
    if resources.memory.priority != "normal":
        yield f"resources.memory.priority {_NO_EFFECT}"
    kept_on = used.artifacts_volume
    for number, volume in enumerate(resources.storage.volumes):
        key = f"resources.storage.volumes[{number}]"
        if volume is not kept_on or volume.node_id in here:
            yield (
                f"{key} {_NO_EFFECT}: only the first for cache or output that is on another node "
                "has one"
            )
        elif volume.path is not None:
            yield f"{key}.path {_NO_EFFECT}: {volume.node_id} keeps results in its own cache"


def warnings_of_profile(profile: Profile) -> tuple[str, ...]:
    """Return a sentence for each key of a profile that has no effect."""
    return tuple(_of_profile(profile))


def _of_profile(profile: Profile) -> Iterator[str]:
    if profile.cpu_strategy == "efficiency_cores":
        yield f"cpu_strategy: efficiency_cores {_NO_EFFECT}"
    if profile.storage_preference != "fastest":
        yield f"storage_preference: {profile.storage_preference} {_NO_EFFECT}"
    if profile.network_preference == "batch_transfers":
        yield f"network_preference: batch_transfers {_NO_EFFECT}"
    if profile.cache_policy != "aggressive":
        yield f"cache_policy: {profile.cache_policy} {_NO_EFFECT}"
