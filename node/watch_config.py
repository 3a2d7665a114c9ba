"""The sections of ``node.yaml`` about building what changes."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StrictBool

from buildnet.node.config_section import Settings
from buildnet.node.config_values import AbsolutePath, Text
from buildnet.pool.glob import GlobError, Patterns
from buildnet.pool.impact import IGNORED_BY_DEFAULT
from buildnet.pool.strict_model import expected


def _pattern(value: str) -> str:
    try:
        Patterns((value,))
    except GlobError:
        raise expected("a pattern such as **/*.md") from None
    return value


Pattern = Annotated[Text, AfterValidator(_pattern)]
Milliseconds = Annotated[int, Field(ge=0, le=600_000, strict=True)]


class WatchSettings(Settings):
    """``debounce_ms``: so long nothing may have changed before a build begins;
    ``longest_wait_ms``: no longer than that what changed waits for such a pause;
    ``exclude_patterns``: paths of a workspace whose changes begin none; ``directories``: workspaces
    that the node watches by itself; ``preemptive_prepare``: it reads there what changed at
    once; ``scan_interval_ms``: so often sources are looked through where changes are not told."""

    debounce_ms: Milliseconds = 300
    longest_wait_ms: Milliseconds = 30_000
    scan_interval_ms: Annotated[int, Field(ge=100, le=600_000, strict=True)] = 1000
    exclude_patterns: tuple[Pattern, ...] = IGNORED_BY_DEFAULT
    directories: tuple[AbsolutePath, ...] = ()
    preemptive_prepare: StrictBool = True


class AutoBuildSettings(Settings):
    """``enabled``: the node builds what it watches by itself, ``delay_ms`` after
    ``watch.debounce_ms``, ``max_concurrent_builds`` at once. ``priority_paths``: directories of a
    workspace whose packages are built without that delay, and first."""

    enabled: StrictBool = False
    delay_ms: Milliseconds = 2000
    max_concurrent_builds: Annotated[int, Field(ge=1, le=100, strict=True)] = 3
    priority_paths: tuple[Text, ...] = ()
