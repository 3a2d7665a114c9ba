"""The templates that every node has: nobody can change or delete them."""

from __future__ import annotations

from collections.abc import Mapping

from buildnet.pool.template import Template, Variable

_CORES = Variable(
    name="cores",
    type="integer",
    description="CPU cores to use at once; 0: all",
    default=0,
    minimum=0,
    maximum=100_000,
)

TEMPLATES: Mapping[str, Template] = {
    template.id or "": template
    for template in (
        Template(
            id="local-only",
            name="Local Only",
            description="Build using only local machine resources",
            icon="laptop",
            category="local_only",
            config={
                "resources": {
                    "cpu": {
                        "cores": "{cores}",
                        "node_allocations": [{"node_id": "local", "cores": "{cores}"}],
                    }
                },
                "execution": {"local_only": True},
            },
            variables=(_CORES,),
            use_cases=("Quick local development builds", "Offline development"),
        ),
        Template(
            id="quick",
            name="Quick",
            description="A few cores of one machine, at once: for a change that was just made",
            icon="bolt",
            category="quick_build",
            config={
                "resources": {"cpu": {"cores": "{cores}", "priority": "high"}},
                "execution": {"strategy": "locality", "max_nodes": 1},
            },
            variables=(_CORES.model_copy(update={"default": 2, "minimum": 1.0}),),
            use_cases=("Building after an edit", "Leaving most of the pool to others"),
        ),
        Template(
            id="distributed-full",
            name="Full Distributed",
            description="Use all available pool resources for maximum speed",
            icon="cloud",
            category="full_build",
            config={
                "resources": {
                    "cpu": {"priority": "high"},
                    "memory": {"priority": "high"},
                    "storage": {"min_class": "ssd"},
                },
                "execution": {"strategy": "smart"},
            },
            use_cases=("Full production builds", "Release builds"),
        ),
        Template(
            id="ci",
            name="CI",
            description="All packages, whatever fails, isolated, with an end",
            icon="repeat",
            category="ci_cd",
            config={
                "build": {"keep_going": "{keep_going}"},
                "execution": {
                    "strategy": "fastest",
                    "priority": "high",
                    "timeout": "{timeout}",
                },
            },
            variables=(
                Variable(
                    name="timeout",
                    type="text",
                    description="How long the whole build may take, such as 30m",
                    default="30m",
                ),
                Variable(
                    name="keep_going",
                    type="boolean",
                    description="After a failure go on with what is independent",
                    default=True,
                ),
            ),
            use_cases=("Continuous integration", "Checks of a merge request"),
        ),
        Template(
            id="monorepo-large",
            name="Large Monorepo",
            description="Many packages at once, where their inputs are",
            icon="boxes",
            category="full_build",
            config={
                "build": {"keep_going": True},
                "execution": {"strategy": "smart", "parallel": "{parallel_builds}"},
            },
            variables=(
                Variable(
                    name="parallel_builds",
                    type="integer",
                    description="Commands that run at once",
                    default=8,
                    minimum=1,
                    maximum=100_000,
                ),
            ),
            use_cases=("Hundreds of packages", "Builds that would take all of the pool else"),
        ),
    )
}
"""By id; section 5.2 of the source document 002 and section 11.6 of 001."""
