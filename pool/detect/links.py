"""Which packages of a workspace depend on which others, by their manifests."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from buildnet.pool.detect.manifest import Manifest
from buildnet.pool.detect.ranges import may_mean
from buildnet.pool.graph import CycleError, sort


def dependencies_between(
    manifests: Mapping[str, Manifest],
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Return name -> names of what each package depends on, and notes about what was left out.

    A circle that goes through devDependencies or peerDependencies is opened by leaving those out.

    Raises:
        CycleError: a circle of dependencies proper.
    """
    strong: dict[str, dict[str, None]] = {}
    weak: dict[str, dict[str, None]] = {}
    for name, manifest in manifests.items():
        peers = manifest.mapping("peerDependencies")
        proper = {**manifest.mapping("optionalDependencies"), **manifest.mapping("dependencies")}
        others = {**peers, **manifest.needs_to_build}
        strong[name] = dict.fromkeys(_among(proper, name, manifests))
        weak[name] = dict.fromkeys(
            one for one in _among(others, name, manifests) if one not in strong[name]
        )
    notes: list[str] = []
    while True:
        edges = {name: tuple(sorted((*strong[name], *weak[name]))) for name in manifests}
        try:
            sort(edges)
        except CycleError as error:
            notes.append(_open(error.cycle, weak, error))
        else:
            return edges, tuple(notes)


def _among(specs: Mapping[str, object], own: str, manifests: Mapping[str, Manifest]) -> list[str]:
    return [
        name
        for name, spec in specs.items()
        if name != own
        and name in manifests
        and isinstance(spec, str)
        and may_mean(spec, manifests[name].version)
    ]


def _open(cycle: Sequence[str], weak: Mapping[str, dict[str, None]], error: CycleError) -> str:
    """Remove the weak dependencies on a cycle and say so; raise ``error`` if there are none."""
    steps = list(itertools.pairwise(cycle))
    removed = [(one, needed) for one, needed in steps if needed in weak[one]]
    if not removed:
        raise error
    for one, needed in removed:
        del weak[one][needed]
    left_out = ", ".join(f"{one} -> {needed}" for one, needed in removed)
    return f"left out of the dependency cycle {' -> '.join(cycle)}: {left_out} (dev or peer)"
