"""Profiles: named sets of scheduling preferences, apart from what a build needs.

Keys and the three built-in ones follow section 10.5 of the source document 001. A configuration
that says a strategy or priority itself goes before its profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from buildnet.pool.configuration import Description, Identifier, Priority, Strategy, Title
from buildnet.pool.strict_model import Keys, contradiction, load_document, read_model

Weight = Annotated[float, Field(ge=0, le=1000, strict=True, allow_inf_nan=False)]


class Weights(Keys):
    """How much each counts where the strategy is ``smart``; only their proportions matter."""

    performance: Weight = 0.4
    locality: Weight = 0.3
    latency: Weight = 0.2
    availability: Weight = 0.1

    @model_validator(mode="after")
    def _some(self) -> Weights:
        if self.performance + self.locality + self.latency + self.availability <= 0:
            raise contradiction("one of the weights must be more than 0")
        return self


class Profile(Keys):
    """Scheduling preferences. ``id`` None: it is kept under none yet; ``priority`` None: what the
    configuration says of its cores."""

    called_elsewhere: ClassVar[Mapping[str, str]] = {"distribution": "strategy"}
    id: Identifier | None = None
    name: Title | None = None
    description: Description = ""
    strategy: Strategy = "smart"
    weights: Weights = Weights()
    priority: Priority | None = None
    cpu_strategy: Literal["all_cores", "local_only", "efficiency_cores"] = "all_cores"
    storage_preference: Literal["fastest", "local", "cheapest"] = "fastest"
    network_preference: Literal["lowest_latency", "minimize_transfer", "batch_transfers"] = (
        "lowest_latency"
    )
    cache_policy: Literal["aggressive", "aggressive_local", "minimal"] = "aggressive"

    def document(self) -> dict[str, Any]:
        """Return what it says beyond the defaults, as it is kept and exported, without the id."""
        found: dict[str, Any] = self.model_dump(
            mode="json", exclude={"id"}, exclude_defaults=True, exclude_none=True
        )
        return found


def read_profile(data: object, where: str) -> Profile:
    """Return a profile from plain data; ``where`` names it in errors.

    Raises:
        InvalidDocumentError: something is wrong with it.
    """
    return read_model(Profile, data, where)


def parse_profile(text: str, where: str) -> Profile:
    """Read a profile as YAML or JSON.

    Raises:
        YamlError, InvalidDocumentError: something is wrong with it.
    """
    document = load_document(text, where)
    return read_model(Profile, document.data, where, document)


PROFILES: Mapping[str, Profile] = {
    profile.id or "": profile
    for profile in (
        Profile(
            id="speed",
            name="Maximum Speed",
            description="Minimize build time at any cost",
            strategy="fastest",
        ),
        Profile(
            id="bandwidth_saver",
            name="Bandwidth Saver",
            description="Minimize network transfer",
            strategy="locality",
            cpu_strategy="local_only",
            storage_preference="local",
            network_preference="minimize_transfer",
            cache_policy="aggressive_local",
        ),
        Profile(
            id="cost_optimized",
            name="Cost Optimized",
            description="Use cheapest resources",
            strategy="least_loaded",
            cpu_strategy="efficiency_cores",
            storage_preference="cheapest",
            network_preference="batch_transfers",
            cache_policy="minimal",
        ),
    )
}
"""By id. Nobody can change or delete them."""
