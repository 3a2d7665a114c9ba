"""Which builds of a node's record somebody wants to see."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wanted:
    """None: whichever. ``workspaces``: of one of these; ``actor``: who asked for it; ``text``: it
    stands in the id, the workspace, who asked, or the packages and the task that were asked for,
    in capitals or not; ``went_to``: this node lost it, and a node with one of these ids went on
    with it; where there are none: this node lost it to nobody. That is of its own record alone."""

    status: str | None = None
    workspaces: Collection[str] | None = None
    actor: str | None = None
    workspace: str | None = None
    text: str | None = None
    went_to: Collection[str] | None = None

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
        if self.went_to:
            where.append(f"{_LOST_TO} IN ({', '.join('?' * len(self.went_to))})")
            arguments += self.went_to
        elif self.went_to is not None:
            where.append(f"{_LOST_TO} IS NULL")
        if self.text:
            where.append(_SEARCHED)
            arguments.append(self.text)
            if PART_OF_ID.fullmatch(self.text):
                where[-1] = f"({_SEARCHED} OR instr(id, lower(?)))"
                arguments.append(self.text)
        return " AND ".join(where), arguments


_LOST_TO = (
    "CASE WHEN json_extract(durable, '$.state') IN ('elsewhere', 'ended elsewhere') "
    "THEN json_extract(durable, '$.node') END"
)
# No build's row is read for it: an index has the number of what was asked for, and the id.
_SEARCHED = "asking IN (SELECT number FROM askings WHERE instr(text, lower(?)))"
PART_OF_ID = re.compile(r"[0-9a-f-]{1,64}", re.ASCII | re.IGNORECASE)
"""What may stand in an id: a text that is none is not looked for there."""
ALL = Wanted()
"""Every build."""
