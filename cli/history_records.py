"""What ``buildnet history`` asks for besides the list of builds: reviews, traces, comparisons and
trends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildnet.cli.client import Client, path_part
from buildnet.cli.output import console, note, show
from buildnet.cli.run import settings
from buildnet.cli.whole_file import write_whole
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from buildnet.cli.settings import Settings

STANDARD_OUTPUT = Path("-")


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a build, or of many, is to be shown instead of its packages."""

    build_id: str | None
    review: bool
    trace: Path | None
    compare: str | None
    trends: bool
    flaky: bool = False

    @property
    def is_of_records(self) -> bool:
        """Whether any of it is.

        Raises:
            UsageError: more than one is, or no build is named.
        """
        given = {
            "--review": self.review,
            "--trace": self.trace is not None,
            "--compare": self.compare is not None,
            "--trends": self.trends,
            "--flaky": self.flaky,
        }
        names = [name for name, is_given in given.items() if is_given]
        if len(names) > 1:
            raise UsageError(
                f"{' and '.join(names)} show different things", hint="give one of them at a time"
            )
        if names and self.build_id is None and not (self.trends or self.flaky):
            raise UsageError(
                f"{names[0]} needs the id of a build", hint=f"buildnet history BUILD-ID {names[0]}"
            )
        return bool(names)


def show_records(
    client: Client,
    asked: Asked,
    workspace: str | None,
    limit: int | None,
    cursor: str | None = None,
) -> None:
    """Show what was asked for; ``limit``: over how many builds trends are, or of flaky tests how
    many are listed at most, from ``cursor`` on."""
    from buildnet.cli import history_views as views

    if asked.trends:
        data = client.get(
            "/api/builds/trends",
            workspace=workspace,
            package=asked.build_id,
            builds=limit or 100,
        )
        ids = [task["task"] for task in data["tasks"]]
        show(settings(), data, lambda console: views.print_trends(console, data), ids=ids)
        return
    if asked.flaky:
        data = client.get("/api/tests/flaky", workspace=workspace, limit=limit, cursor=cursor)
        ids = [f"{each['task']} {each['name'] or ''}".rstrip() for each in data["flaky"]]
        show(settings(), data, lambda console: views.print_flaky(console, data), ids=ids)
        return
    assert asked.build_id is not None
    if asked.compare is not None:
        data = client.get("/api/builds/compare", before=asked.build_id, after=asked.compare)
        ids = [data[side]["build_id"] for side in ("before", "after")]
        show(settings(), data, lambda console: views.print_comparison(console, data), ids=ids)
    elif asked.trace is not None:
        _write_trace(client, asked.build_id, asked.trace)
    else:
        data = _review(client, asked.build_id)
        ids = [data["build_id"]]
        show(settings(), data, lambda console: views.print_review(console, data), ids=ids)


def _review(client: Client, build_id: str) -> Any:
    return client.get(f"/api/build/{path_part(build_id)}/review")


def _write_trace(client: Client, build_id: str, file: Path) -> None:
    import json

    text = json.dumps(client.get(f"/api/build/{path_part(build_id)}/trace"))
    if file == STANDARD_OUTPUT:
        print(text)
        return
    write_whole(file, [text.encode()], hint="name another file, or - to print it")
    note(
        settings(), f"{file} has the trace: open it in https://ui.perfetto.dev or chrome://tracing"
    )


def print_course(console: Console, client: Client, build: dict[str, Any]) -> None:
    """Print when a build's tasks were, what its time hung on and what was saved."""
    from buildnet.cli import history_views as views
    from buildnet.pool.recorded import RecordedBuild

    views.print_timeline(console, RecordedBuild.from_dict(build))
    if build["packages"]:
        views.print_path_and_savings(console, _review(client, build["build_id"]))


def print_review_of(
    client: Callable[[], Client], settings: Settings, report: dict[str, Any]
) -> None:
    """Print the review of a build that has just ended. One whose report names every package is not
    asked for: its record may be another node's."""
    from buildnet.cli import history_views as views

    if report["unchanged"]:
        found = _review(client(), report["build_id"])
    else:
        from buildnet.pool.recorded import RecordedBuild
        from buildnet.pool.review import review

        found = review(RecordedBuild.from_dict(report)).as_dict()
    views.print_review(console(settings), found)
