"""What a request for a build names, found and checked: its configuration, template and profile."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildnet.mesh.errors import NotFoundError, UsageError
from buildnet.node.saved import CONFIGURATIONS, PROFILES_KEPT, TEMPLATES_KEPT, saved_in
from buildnet.node.service import NodeService
from buildnet.pool.choice import AS_THE_NODE_HAS_IT, Choice, choose
from buildnet.pool.configuration import (
    BuildConfiguration,
    BuildSettings,
    read_configuration,
)
from buildnet.pool.fitting import NoCapacityError, check_fit
from buildnet.pool.profile import Profile

_AS_ASKED = BuildSettings()
_log = logging.getLogger("buildnet.builds")


@dataclass(frozen=True, slots=True)
class Named:
    """What a request names, by id. ``variables``: values of the template's, by name. ``waits``: it
    waits until it has what it asks for. ``unkept``: a configuration that the request itself holds.
    """

    config_id: str | None = None
    template: str | None = None
    variables: Mapping[str, object] | None = None
    profile: str | None = None
    local_only: bool = False
    waits: bool = False
    unkept: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the build goes by, and what it builds where the request does not say."""

    choice: Choice = AS_THE_NODE_HAS_IT
    build: BuildSettings = _AS_ASKED


async def chosen(service: NodeService, named: Named, directory: Path) -> Chosen:
    """Return what a build goes by that is asked for in ``directory``.

    Raises:
        UsageError: it names what excludes each other.
        NotFoundError: something that it names is not there.
        InvalidDocumentError: the template's variables have no values that fit.
        NoCapacityError: the configuration asks for more than there is.
    """
    ways = (named.config_id, named.template, named.unkept)
    if sum(one is not None for one in ways) > 1:
        raise UsageError(
            "a configuration and a template exclude each other", hint="leave one of them away"
        )
    if named.variables and named.template is None:
        raise UsageError(
            "variables are those of a template", hint="name it: --template NAME --set NAME=VALUE"
        )
    if named.waits and (named.local_only or all(one is None for one in ways)):
        raise UsageError(
            "what a build waits for is what its configuration asks for of the pool",
            hint="name one (--config or --template), without --local-only",
        )
    configuration, version = await _configuration(service, named)
    profile = await _profile(service, named, directory)
    if configuration is None and profile is None:
        return Chosen()
    found = choose(
        configuration,
        profile,
        here=frozenset({service.key.node_id, service.name}),
        version=version,
        template=named.template,
        variables=named.variables,
        unkept=named.unkept,
    )
    if configuration is None:
        return Chosen(found)
    await service.scanned.wait()
    nodes = list((await service.pool.picture()).nodes.values())
    what = "configuration" if named.template is None else "template"
    try:
        check_fit(
            configuration,
            nodes,
            this_node=service.key.node_id,
            where=f"the {what} {named.config_id or named.template or ''}".rstrip(),
            local_only=named.local_only or found.local_only,
        )
    except NoCapacityError:
        if not named.waits or found.local_only:
            raise
    return Chosen(found, configuration.build)


async def _configuration(
    service: NodeService, named: Named
) -> tuple[BuildConfiguration | None, int | None]:
    if named.unkept is not None:
        return read_configuration(dict(named.unkept), "the configuration"), None
    if named.config_id is not None:
        return await saved_in(service, CONFIGURATIONS).read(named.config_id)
    if named.template is None:
        return None, None
    template, _ = await saved_in(service, TEMPLATES_KEPT).read(named.template)
    return template.fill(named.variables or {}, f"the template {named.template}"), None


async def _profile(service: NodeService, named: Named, directory: Path) -> Profile | None:
    profiles = saved_in(service, PROFILES_KEPT)
    if named.profile is not None:
        return (await profiles.read(named.profile))[0]
    if service.defaults.is_empty:
        return None
    name = service.defaults.profile((await service.builder.workspace(directory)).root)
    if name is None:
        return None
    try:
        return (await profiles.read(name))[0]
    except NotFoundError:  # somebody deleted it, which must not keep others from building
        _log.warning("the default profile %s is not there any more: building without it", name)
        return None
