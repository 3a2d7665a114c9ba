"""Notes of people: what may stand in one, and whether a request was used for another one."""

from __future__ import annotations

import re

from buildnet.ledger.draft import DraftError, EntryDraft
from buildnet.ledger.entry import Actor, ActorKind, Entry
from buildnet.mesh.errors import BuildNetError

NOTE = "system.note"
MAX_CHARACTERS = 8000
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline


class RequestUsedError(BuildNetError):
    """A request id was used before, for something else."""

    code = "REQUEST_USED"
    http_status = 409


def note_draft(text: str, *, actor: str, entity: str, request: bytes) -> EntryDraft:
    """Return a note as what is to be recorded. ``request``: 16 to 32 bytes.

    Raises:
        DraftError: the text is empty, too long, or holds control characters other than newline
            and tab.
    """
    if not 1 <= len(text) <= MAX_CHARACTERS:
        raise DraftError(
            f"a note has 1 to {MAX_CHARACTERS} characters",
            cause=f"this one has {len(text)}",
            hint="say something" if not text else "shorten it, or make several of it",
        )
    if (wrong := _CONTROLS.search(text)) is not None:
        raise DraftError(
            "a note is plain text",
            cause=f"the character {wrong.start() + 1} is a control character, {wrong[0]!r}",
            hint="leave it out; newline and tab may be there",
        )
    who = Actor(actor, actor, ActorKind.USER.value)
    return EntryDraft(NOTE, who, entity=entity, request=request, data={"text": text})


def require_same(entry: Entry, draft: EntryDraft) -> None:
    """Check that an entry, which its request found, is the one that is asked for.

    Raises:
        RequestUsedError: the request was used for something else.
    """
    body = entry.body
    found = (body.type, body.actor, body.entity, entry.data)
    if found != (draft.type, draft.actor, draft.entity, dict(draft.data)):
        raise RequestUsedError(
            f"the request {draft.request.hex()} was recorded as another entry: {entry.id}",
            cause="the text, the actor or what it is about differs" if body.type == NOTE else None,
            hint="choose a new id at random for each note, and repeat it only with the same note; "
            f"buildnet ledger show {entry.id[:16]}",
        )
