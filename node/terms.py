"""What was said of this host while its node ran: that it is drained, its tags, narrower limits.

``node.yaml`` is the owner's word on how much of the host there is for BuildNet; terms only narrow
it, so that nobody has to look in two places for the most that is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, StrictBool, ValidationError
from pydantic_core import ErrorDetails

from buildnet.mesh.errors import UsageError
from buildnet.node.config import SLOTS_MAX, NodeConfig, WorkerSettings
from buildnet.node.config_section import Settings
from buildnet.node.config_values import Hours, PositiveNumber, Text
from buildnet.pool.wording import expectation

MAX_TAGS = 32
_SETTINGS = {
    "tags": "node_tags",
    "max_cores": "resource_limits.cpu.max_cores",
    "max_commands": "workers.max",
    "max_memory_gb": "resource_limits.memory.max_gb",
    "accept_remote_builds": "scheduling.accept_remote_builds",
    "priority_weight": "scheduling.priority_weight",
    "local_only_hours": "scheduling.time_restrictions.local_only_hours",
}


class TermsError(UsageError):
    """What is to be said of a host can't be, or is more than its owner gives."""

    code = "SERVER_TERMS"


class Terms(Settings):
    """Terms of one host; None: what ``node.yaml`` says. As a change: those fields that were given.

    ``max_commands``: at once; ``max_memory_gb``: for commands that ask for some, in GiB;
    ``local_only_hours``: beside those of ``node.yaml``.
    """

    draining: StrictBool = False
    tags: Annotated[tuple[Text, ...], Field(max_length=MAX_TAGS)] | None = None
    max_cores: Annotated[int, Field(ge=1, le=65536, strict=True)] | None = None
    max_commands: Annotated[int, Field(ge=1, le=SLOTS_MAX, strict=True)] | None = None
    max_memory_gb: PositiveNumber | None = None
    accept_remote_builds: StrictBool | None = None
    priority_weight: Annotated[PositiveNumber, Field(le=1000)] | None = None
    local_only_hours: Annotated[tuple[Hours, ...], Field(max_length=MAX_TAGS)] | None = None

    @classmethod
    def read(cls, text: str | bytes) -> Self:
        """Read terms, or a change of them, from JSON.

        Raises:
            TermsError: they are none; the message names all that is wrong.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise cls._error(error) from error

    @classmethod
    def of(cls, document: Mapping[str, object]) -> Self:
        """Return terms, or a change of them, from plain data of JSON.

        Raises:
            TermsError: they are none; the message names all that is wrong.
        """
        return cls.read(json.dumps(document))

    @classmethod
    def _error(cls, error: ValidationError) -> TermsError:
        problems = [
            f"{'.'.join(map(str, one['loc'])) or 'the text'}: {_problem(one)}"
            for one in error.errors(include_url=False)[:5]
        ]
        return TermsError(
            f"no terms of a host: {'; '.join(problems)}",
            hint=f"known: {', '.join(cls.model_fields)}",
        )

    def changed(self, change: Terms) -> Terms:
        """Return these with what ``change`` says in their place."""
        return self.model_copy(update={name: getattr(change, name) for name in change.given})

    @property
    def given(self) -> tuple[str, ...]:
        """Which fields were said, in their order."""
        return tuple(name for name in Terms.model_fields if name in self.model_fields_set)

    def as_settings(self) -> dict[str, Any]:
        """Return what they say as keys of ``node.yaml``, for a host that has none yet.

        Raises:
            TermsError: they say something that does not stand there.
        """
        plain = self.model_dump(mode="json", include=set(self.given))
        if "draining" in plain:
            raise TermsError("a host is drained once it is there", hint="buildnet server drain")
        return {_SETTINGS[name]: value for name, value in plain.items() if value is not None}

    @property
    def only_drains(self) -> bool:
        """Whether a change says nothing but whether the host is drained."""
        return self.model_fields_set <= {"draining"}


def in_force(config: NodeConfig, terms: Terms) -> NodeConfig:
    """Return a host's configuration within its terms."""
    limits, scheduling = config.resource_limits, config.scheduling
    cpu, memory, hours = limits.cpu, limits.memory, scheduling.time_restrictions
    accepts = scheduling.accept_remote_builds and terms.accept_remote_builds is not False
    also_hours = (*hours.local_only_hours, *(terms.local_only_hours or ()))
    return config.model_copy(
        update={
            "node_tags": config.node_tags if terms.tags is None else terms.tags,
            "workers": _narrowed(config.workers, terms.max_commands),
            "resource_limits": limits.model_copy(
                update={
                    "cpu": cpu.model_copy(
                        update={"max_cores": _least(cpu.max_cores, terms.max_cores)}
                    ),
                    "memory": memory.model_copy(
                        update={"max_gb": _least(memory.max_gb, terms.max_memory_gb)}
                    ),
                }
            ),
            "scheduling": scheduling.model_copy(
                update={
                    "accept_remote_builds": accepts,
                    "priority_weight": terms.priority_weight or scheduling.priority_weight,
                    "time_restrictions": hours.model_copy(
                        update={"local_only_hours": tuple(dict.fromkeys(also_hours))}
                    ),
                }
            ),
        }
    )


def check_within(config: NodeConfig, change: Terms) -> None:
    """See that a change asks for no more than the owner gives.

    Raises:
        TermsError: it does.
    """
    limits = config.resource_limits
    for name, key, wanted, most in (
        ("cores", "resource_limits.cpu.max_cores", change.max_cores, limits.cpu.max_cores),
        ("commands at once", "workers.max", change.max_commands, config.workers.max),
        (
            "GiB of memory",
            "resource_limits.memory.max_gb",
            change.max_memory_gb,
            limits.memory.max_gb,
        ),
    ):
        if wanted is not None and most is not None and wanted > most:
            raise TermsError(
                f"{wanted:g} {name} are more than the owner gives: {most:g}",
                hint=f"{key} in that host's node.yaml is the most",
            )
    if change.accept_remote_builds and not config.scheduling.accept_remote_builds:
        raise TermsError(
            "the owner runs no commands of others on this host",
            hint="scheduling.accept_remote_builds in that host's node.yaml says so",
        )


def _narrowed(workers: WorkerSettings, max_commands: int | None) -> WorkerSettings:
    if max_commands is None:
        return workers
    most = _least(workers.max, max_commands)
    bare = (workers.min, workers.max, workers.redundancy_factor) == (None, None, None)
    return workers.model_copy(
        update={
            "max": most,
            "min": _least(workers.min, max_commands) if workers.min is not None else None,
            # A maximum alone would be exactly that many, which may be more than before.
            "redundancy_factor": 1.0 if bare else workers.redundancy_factor,
        }
    )


def _least(one: float | None, other: float | None) -> float | None:
    known = [each for each in (one, other) if each is not None]
    return min(known, default=None)


def _problem(error: ErrorDetails) -> str:
    """Say in plain words what pydantic found."""
    kind = error["type"]
    if kind == "extra_forbidden":
        return "there is no such setting"
    if kind == "json_invalid":
        return "it is no JSON"
    if kind == "value_error":  # our own check, our own words
        return str(error["ctx"]["error"])
    return f"expected {expectation(kind, error.get('ctx') or {})}"
