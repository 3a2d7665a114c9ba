"""Configurations, templates, profiles and accounts, as the cluster keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, Field

from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.answers.answer import Answer, Page, Success
from buildnet.node.auth.account import Account
from buildnet.pool.configuration import BuildConfiguration
from buildnet.pool.profile import Profile
from buildnet.pool.template import Template


class Kept(Answer):
    """What the ledger says of a document. ``version`` 0 and ``system``: it is built in;
    ``unreadable``: what is kept, where this version of BuildNet can't read it, and ``problem``
    why; ``warnings``: what of it has no effect."""

    id: str
    unreadable: dict[str, Any] | None = None
    problem: str | None
    warnings: list[str]
    system: bool
    version: int
    sealed: int | None
    entry: str | None
    created_at: str | None
    created_by: str | None
    changed_at: str | None
    changed_by: str | None


class Draft(Answer):
    """A change that waits for a quorum."""

    id: str
    expects: int
    kept_at: str


class SavedConfiguration(Kept, BuildConfiguration):
    """A configuration that is kept, or built in."""

    model_config = ConfigDict(extra="allow")
    id: str


class SavedTemplate(Kept, Template):
    """A template that is kept, or built in."""

    model_config = ConfigDict(extra="allow")
    id: str
    config: dict[str, Any] = Field(default_factory=dict)


class SavedProfile(Kept, Profile):
    """A profile that is kept, or built in."""

    model_config = ConfigDict(extra="allow")
    id: str


class SavedAccount(Kept, Account):
    """An account; without ``rights``: it is ``unreadable``."""

    model_config = ConfigDict(extra="allow")
    id: str
    rights: Rights = Rights.OBSERVER


class ChangedConfiguration(Success, SavedConfiguration):
    """A configuration that was changed."""


class ChangedTemplate(Success, SavedTemplate):
    """A template that was changed."""


class ChangedProfile(Success, SavedProfile):
    """A profile that was changed."""


class ChangedAccount(Success, SavedAccount):
    """An account that was changed."""


class SavedConfigurations(Page):
    """All configurations."""

    configs: list[SavedConfiguration]
    drafts: list[Draft]


class SavedTemplates(Page):
    """All templates."""

    templates: list[SavedTemplate]
    drafts: list[Draft]


class SavedProfiles(Page):
    """All profiles."""

    profiles: list[SavedProfile]
    drafts: list[Draft]


class SavedAccounts(Page):
    """All accounts."""

    accounts: list[SavedAccount]
    drafts: list[Draft]


class Deleted(Success):
    """What was deleted, and the version that it had."""

    id: str
    version: int


class DocumentFault(Answer):
    """What is wrong in a document, and where."""

    path: str
    message: str
    hint: str | None


class ValidatedConfiguration(Answer):
    """What is wrong with a configuration; ``capacity``: what the pool does not have now, in words;
    ``shortages``: the same, each with the key that asks for it."""

    valid: bool
    problems: list[DocumentFault]
    warnings: list[str]
    capacity: str | None
    shortages: list[DocumentFault]


@dataclass(frozen=True, slots=True)
class Forms:
    """How the documents of one kind are answered."""

    one: type[Kept]
    all: type[Page]
    changed: type[Success]


CONFIGURATION_FORMS = Forms(SavedConfiguration, SavedConfigurations, ChangedConfiguration)
TEMPLATE_FORMS = Forms(SavedTemplate, SavedTemplates, ChangedTemplate)
PROFILE_FORMS = Forms(SavedProfile, SavedProfiles, ChangedProfile)
ACCOUNT_FORMS = Forms(SavedAccount, SavedAccounts, ChangedAccount)
