"""Which builds of a node's record somebody wants to see."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """None: whichever. ``workspaces``: of one of these; ``actor``: who asked for it; ``text``: it
    stands in the id, the workspace, who asked, or the packages and the task that were asked for,
    in capitals or not."""

    status: str | None = None
    workspaces: Collection[str] | None = None
    actor: str | None = None
    workspace: str | None = None
    text: str | None = None

    def condition(self) -> tuple[str, list[object]]:
        """Return it as a condition of SQL, and its arguments."""
        where, arguments = ["1=1"], list[object]()
        for column, value in (
            ("status", self.status),
            ("triggered_by", self.actor),
            ("workspace", self.workspace),
        ):
            if value is not None:
                where.append(f"{column} = ?")
                arguments.append(value)
        if self.workspaces is not None:
            where.append(f"workspace IN ({', '.join('?' * len(self.workspaces))})")
            arguments += self.workspaces
        if self.text:
            where.append(f"instr(lower({_SEARCHED}), lower(?))")
            arguments.append(self.text)
        return " AND ".join(where), arguments


# What is apart is kept apart by a character that no text holds that people search for.
_SEARCHED = " || char(10) || ".join(
    (
        "id",
        "workspace",
        "triggered_by",
        "coalesce(json_extract(request, '$.task'), '')",
        "coalesce(json_extract(request, '$.packages'), '')",
    )
)
ALL = Wanted()
"""Every build."""
