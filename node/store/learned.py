"""What was learned of commands' durations, by workspace and task, in a bounded table.

It outlives the results that it was learned from: what a task took is worth knowing when its result
was collected long ago.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from buildnet.node.store.database import Database

MOST_ROWS = 20_000
"""Beyond, those go that were written longest ago."""

Write = Callable[[Callable[[sqlite3.Connection], object]], None]


class LearnedTable:
    """The rows; a state is whatever can be JSON. Methods block."""

    def __init__(self, database: Database, write: Write) -> None:
        self._database = database
        self._write = write

    def read(self, workspace: str) -> dict[str, Any]:
        """Return all states of a workspace by task, those written last at the end."""
        rows = self._database.rows(
            "SELECT task, state FROM learned WHERE workspace = ? ORDER BY written_at_ms, task",
            (workspace,),
        )
        return {task: json.loads(state) for task, state in rows}

    def put(self, workspace: str, states: Mapping[str, Any], now_ms: int) -> None:
        """Write states of a workspace, in one transaction; they replace earlier ones."""
        rows = [(workspace, task, now_ms, json.dumps(each)) for task, each in states.items()]

        def put_all(connection: sqlite3.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO learned VALUES (?, ?, ?, ?)", rows)
            (count,) = connection.execute("SELECT count(*) FROM learned").fetchone()
            if count > MOST_ROWS:
                connection.execute(
                    "DELETE FROM learned WHERE (workspace, task) IN (SELECT workspace, task"
                    " FROM learned ORDER BY written_at_ms LIMIT ?)",
                    (count - MOST_ROWS,),
                )

        if rows:
            self._write(put_all)
