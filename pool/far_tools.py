"""Tools, or a platform, that a command needs and its driver lacks, as other hosts have them.

Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from buildnet.pool.version import VersionRequirement
from buildnet.pool.wanted_platform import WantedPlatform


@dataclass(frozen=True, slots=True)
class ToolsWanted:
    """What one command needs: its declared ``tools``, with requirements of their ``versions``, and
    what else it names, ``words``; on which ``platform``, None: any."""

    tools: tuple[str, ...]
    words: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    platform: WantedPlatform | None = None

    def is_met_by(self, versions: Mapping[str, str], platform: Mapping[str, str]) -> bool:
        """Tell whether these tools, versions by name, do, on a host of this platform."""
        if self.platform is not None and not self.platform.accepts(platform):
            return False
        return all(
            tool in versions
            and VersionRequirement.parse(self.versions.get(tool, "")).accepts(versions[tool])
            for tool in self.tools
        )


@dataclass(frozen=True, slots=True)
class FarTools:
    """What ``owners``, called ``names``, have alike: the ``platform`` of their hosts, as keys say
    it, and ``programs``, identities by name."""

    owners: tuple[bytes, ...]
    names: tuple[str, ...]
    platform: Mapping[str, str]
    programs: Mapping[str, str]

    def is_like(self, other: FarTools) -> bool:
        """Tell whether an action has the same key with either."""
        return (self.platform, self.programs) == (other.platform, other.programs)


def best_of(found: Iterable[FarTools]) -> FarTools | None:
    """Put together who has the same, and return what the most have; of equals always the same one,
    so that the key does not change from build to build."""
    groups: list[FarTools] = []
    for each in sorted(found, key=lambda one: one.owners):
        for number, group in enumerate(groups):
            if group.is_like(each):
                groups[number] = replace(
                    group, owners=group.owners + each.owners, names=group.names + each.names
                )
                break
        else:
            groups.append(each)
    return max(
        groups,
        key=lambda one: (len(one.owners), sorted(one.programs.items())),
        default=None,
    )
