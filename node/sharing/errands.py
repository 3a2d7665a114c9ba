"""Actions of this node that others run for it: what was asked for, and how it comes back.

Who runs one tells once a second that it goes on. Who falls silent, says more than was asked for, or
never comes to an end does not get to keep the build waiting.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.messages.kinds import Message
from buildnet.node.execute.cancel import CancelToken
from buildnet.pool.messages.work import (
    WorkAlive,
    WorkAsk,
    WorkBegun,
    WorkCancel,
    WorkDone,
    WorkOutput,
)

ALIVE_S = 1.0
"""So often who runs something tells that it goes on."""
SILENT_S = 5.0
"""Who says nothing for so long is not waited for any more."""
_STOOD_STILL_S = 2.0
"""Who looks so long after it looked last stood still itself, and could hear nobody."""
TRANSFER_S = 600.0
"""So much longer than the command may run an answer is waited for: inputs have to get there."""
_CANCELLED_S = 5.0
"""How long the end of a command that was cancelled is waited for."""


class LostHostError(BuildNetError):
    """The host that ran an action is gone, or does not lend any more; it runs elsewhere."""

    code = "HOST_LOST"


class SilentHostError(LostHostError):
    """A host is there, but does not tell how an action goes on; this build asks it no more."""

    code = "HOST_SILENT"


class WrongHostError(BuildNetError):
    """A host said what can't be true; this build asks it no more."""

    code = "HOST_WRONG"


@dataclass(slots=True, eq=False)
class Errand:
    """An action that ``owner`` runs on the lease ``lease``.

    ``output_left``: bytes that it may still print; ``heard_at``, ``over_at``: of the monotonic
    clock: when it was last heard of, and when it is given up whatever is heard.
    """

    owner: bytes
    lease: bytes
    ask: WorkAsk
    on_output: Callable[[bytes], None]
    output_left: int
    heard_at: float
    over_at: float
    has_begun: bool = False
    was_heard: bool = False
    done: asyncio.Future[WorkDone] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def fail(self, error: BuildNetError) -> None:
        """Let who waits for it know that no answer is to come; the first word counts."""
        if not self.done.done():
            self.done.set_exception(error)


class Errands:
    """One node's, for all its builds. ``say`` sends a message to a member."""

    def __init__(
        self,
        say: Callable[[bytes, Message], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._clock = clock
        self._errands: dict[bytes, Errand] = {}
        self._looked_at = clock()

    async def run(
        self,
        owner: bytes,
        lease: bytes,
        ask: Callable[[bytes], WorkAsk],
        on_output: Callable[[bytes], None],
        token: CancelToken,
    ) -> WorkDone:
        """Have an action run by ``owner`` on a lease that is held; ``ask`` makes the request from
        the id of the work.

        Raises:
            LostHostError: nobody knows how it went.
            WrongHostError: it said what it may not.
        """
        work_id, now = os.urandom(16), self._clock()
        asked = ask(work_id)
        errand = Errand(
            owner,
            lease,
            asked,
            on_output,
            output_left=asked.output_bytes,
            heard_at=now,
            over_at=now + asked.timeout_ms / 1000 + TRANSFER_S,
        )
        self._errands[work_id] = errand
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            self._say(owner, WorkCancel(work_id))
            why = "it does not tell the end of what was cancelled"
            loop.call_later(_CANCELLED_S, errand.fail, LostHostError(why))

        try:
            with token.calling(lambda: loop.call_soon_threadsafe(cancel)):
                self._say(owner, asked)
                return await errand.done
        finally:
            del self._errands[work_id]

    def take(self, sender: bytes, message: Message) -> None:
        """Take note of what a member says; only who was asked for an action may speak of it, and
        nobody once it has answered."""
        now = self._clock()
        match message:
            case WorkAlive(works):
                for work in works:
                    if (errand := self._of(work, sender)) is not None:
                        errand.heard_at, errand.was_heard = now, True
            case WorkBegun(work):
                if (errand := self._of(work, sender)) is not None:
                    errand.heard_at, errand.has_begun = now, True
            case WorkOutput(work, data):
                if (errand := self._of(work, sender)) is not None:
                    errand.heard_at, errand.has_begun = now, True
                    self._printed(errand, data)
            case WorkDone():
                if (errand := self._of(message.work, sender)) is not None:
                    errand.done.set_result(message)

    def _of(self, work: bytes, sender: bytes) -> Errand | None:
        errand = self._errands.get(work)
        is_its = errand is not None and errand.owner == sender and not errand.done.done()
        return errand if is_its else None

    def _printed(self, errand: Errand, data: bytes) -> None:
        errand.output_left -= len(data)
        if errand.output_left < 0:
            self._give_up(errand, WrongHostError("it sends more output than was asked for"))
        else:
            errand.on_output(data)

    def waits(self, lease: bytes) -> bool:
        """Tell whether the command on a lease has not begun, as its host told a moment ago; who is
        silent is given up for that."""
        lately = self._clock() - 2 * ALIVE_S
        return any(
            each.was_heard and each.heard_at >= lately and not each.has_begun
            for each in self._errands.values()
            if each.lease == lease
        )

    def linked(self, peer: bytes) -> None:
        """Ask once more for what a peer works on: where a new link takes the place of another,
        question or answer may be lost. What it does already it does not begin again."""
        for errand in self._errands.values():
            if errand.owner == peer and not errand.done.done():
                self._say(peer, errand.ask)

    def lost(self, lease: bytes, why: str) -> None:
        """Take note that a lease is no more, and with it what ran there."""
        for errand in self._errands.values():
            if errand.lease == lease:
                errand.fail(LostHostError(why))

    def tick(self) -> None:
        """Give up what is not heard of any more; call it twice a second. What nobody could say
        while this node stood still is waited for anew."""
        now = self._clock()
        stood_still = now - self._looked_at > _STOOD_STILL_S
        self._looked_at = now
        for errand in list(self._errands.values()):
            if stood_still:
                errand.heard_at = now
            silent_s = now - errand.heard_at
            if silent_s > SILENT_S:
                why = f"it has not told how it goes for {silent_s:.0f} s"
                self._give_up(errand, SilentHostError(why))
            elif now > errand.over_at:
                why = "it did not come to an end within the time it had"
                self._give_up(errand, SilentHostError(why))

    def _give_up(self, errand: Errand, error: BuildNetError) -> None:
        if not errand.done.done():
            self._say(errand.owner, WorkCancel(errand.ask.work))
            errand.fail(error)
