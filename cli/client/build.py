"""A build that was asked for: its events, its report, its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from buildnet.cli.client.connection import Client, NodeUnreachableError, path_part
from buildnet.cli.client.shapes import BuildEvent, BuildReport


class Build:
    """One build, by its id; on whichever node it runs."""

    def __init__(self, client: Client, build_id: str) -> None:
        self._client = client
        self._path = f"/api/build/{path_part(build_id)}"
        self.id = build_id

    def events(self) -> Iterator[BuildEvent]:
        """Yield its events from its start on, up to ``build_finished`` with its report. Output is
        not kept by the node: it comes from now on.

        Raises:
            AnswerError: there is no such build, or it may not be seen.
            NodeUnreachableError: the node does not answer, or stopped before the build was over.
        """
        with self._client.follow(f"{self._path}/events") as events:
            for event in events:
                yield cast(BuildEvent, event)
                if event["type"] == "build_finished":
                    return
        raise NodeUnreachableError(
            "the node stopped before the build was over",
            hint=f"ask another node: buildnet build --attach {self.id}",
        )

    def wait(self) -> BuildReport:
        """Return its report once it is over, failed or not.

        Raises:
            AnswerError: there is no such build, or it may not be seen.
            NodeUnreachableError: the node does not answer, or stopped before the build was over.
        """
        *_, last = self.events()
        return last["report"]

    def report(self) -> BuildReport:
        """Return what is known of it by now."""
        return cast(BuildReport, self._client.get(self._path))

    def log(self, package: str, task: str = "build") -> str:
        """Return all that a task's command printed; of the node that drove the build."""
        return str(self._client.get(f"{self._path}/log", package=package, task=task))

    def cancel(self) -> None:
        """Ask for its end; what is done stays in the cache. For others who asked for the same it
        goes on."""
        self._client.post(f"/api/queue/{path_part(self.id)}/cancel", {})

    def __repr__(self) -> str:
        return f"Build({self.id!r})"
