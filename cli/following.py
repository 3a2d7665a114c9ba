"""Following a build from its first event to its report. Imports nothing heavy."""

from __future__ import annotations

from _signal import (  # type: ignore[import-not-found]  # signal takes longer to load than all this
    SIGINT,
    SIGTERM,
)
from _signal import signal as handle
from _thread import start_new_thread

from buildnet.cli.build_progress import BuildProgress
from buildnet.cli.build_report import print_in_short, print_report
from buildnet.mesh.errors import BuildNetError

TYPE_CHECKING = False  # importing typing would take longer than most builds of one package
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from buildnet.cli.client import Client
    from buildnet.cli.settings import Settings

_ENDING = (SIGINT, SIGTERM)
_LONG_MS = 10_000
"""After a build that took longer it is told what its time hung on."""


def follow(
    events: Iterator[dict[str, Any]],
    settings: Settings,
    client: Callable[[], Client],
    *,
    explain: bool = False,
    dry_run: bool = False,
    review: bool = False,
    cancels: bool = True,
) -> int:
    """Show a build's progress and print its report; return the exit code. ``client`` gives one that
    can ask for its end; ``cancels``: that is what Ctrl-C means, else the build goes on. It does,
    too, where the terminal is closed."""
    progress = BuildProgress(settings, lines=not explain)
    report: dict[str, Any] | None = None
    with _Cancelling(client, progress, _ENDING if cancels else ()) as cancelling:
        for event in _heard(events):
            progress.show(event)
            if event["type"] == "build_finished":
                report = event["report"]
            elif event["type"] in ("told_no_more", "error"):
                from buildnet.cli.client.events import told_no_more

                progress.end()
                raise told_no_more(event, str(progress.build_id))
    progress.end()
    if report is None:
        from buildnet.cli.client import NodeUnreachableError

        hint = "start it and build again: what was done is in the cache"
        if progress.durable_at is not None:
            attach = f"buildnet build --attach {progress.build_id}"
            hint = f"{progress.durable_at} goes on with it; on another node: {attach}"
        raise NodeUnreachableError("the node stopped before the build was over", hint=hint)
    code = print_report(report, settings, explain=explain, dry_run=dry_run)
    if review and settings.format == "table" and not settings.quiet:
        from buildnet.cli.history_records import print_review_of

        print_review_of(client, settings, report)
    elif report["duration_ms"] > _LONG_MS and not dry_run:
        print_in_short(report, settings)
    return 128 + cancelling.received[0] if cancelling.received else code


def _heard(events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the events up to where the node ends, in whatever way."""
    while True:
        try:
            event = next(events, None)
        except ConnectionError:
            return
        if event is None:
            return
        yield event


class _Cancelling:
    """While open, Ctrl-C (or what ends a CI job) asks for the build's end; a second one leaves at
    once. ``received`` are the signals that came."""

    def __init__(
        self, client: Callable[[], Client], progress: BuildProgress, ending: tuple[int, ...]
    ) -> None:
        self.received: list[int] = []
        self._ending = ending
        self._client = client
        self._progress = progress
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Cancelling:
        self._before = {number: handle(number, self._cancel) for number in self._ending}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            handle(number, handler)

    def _cancel(self, number: int, frame: object) -> None:
        self.received.append(number)
        if len(self.received) > 1 or self._progress.build_id is None:
            raise KeyboardInterrupt
        # On a thread: what the signal has interrupted may be in the middle of a print itself.
        start_new_thread(self._ask, ())

    def _ask(self) -> None:
        from buildnet.cli.client import path_part

        self._progress.line("cancelling (Ctrl-C again to leave at once)")
        try:
            build, asker = path_part(str(self._progress.build_id)), self._progress.asker
            self._client().post(f"/api/build/{build}/cancel", asker=asker)
        except BuildNetError as error:
            self._progress.line(f"it could not be cancelled: {error.message}")
