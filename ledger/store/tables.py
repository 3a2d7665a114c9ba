"""The tables that are derived from entries: section 12 of the distributed plan, and accounts,
facts, rights and sessions.

Each row also has ``gone`` (deleted since, kept so that what comes late does not bring it back),
``stamps`` (which entry set which group of columns) and a checksum.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

GONE = "gone"


@dataclass(frozen=True)
class Table:
    """A derived table. ``columns``: name to SQL type; those in ``private`` are encrypted where the
    store has a key. ``lasting``: rows that pruning keeps, whatever their age."""

    name: str
    key: tuple[str, ...]
    columns: dict[str, str]
    private: frozenset[str] = frozenset()
    lasting: bool = True

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of the key and of the columns, in their order."""
        return (*self.key, *self.columns)

    @cached_property
    def ddl(self) -> str:
        """The statement that makes it."""
        columns = [f"{name} TEXT NOT NULL" for name in self.key]
        columns += [f"{name} {kind}" for name, kind in self.columns.items()]
        columns += [f"{GONE} INTEGER NOT NULL", "stamps TEXT NOT NULL", "checksum BLOB NOT NULL"]
        key = ", ".join(self.key)
        return f"CREATE TABLE {self.name} ({', '.join(columns)}, PRIMARY KEY ({key})) WITHOUT ROWID"

    @cached_property
    def put(self) -> str:
        """The statement that writes a row, whether it is there or not."""
        names = self.stored
        marks = ", ".join("?" * (names.count(",") + 1))
        return f"INSERT OR REPLACE INTO {self.name} ({names}) VALUES ({marks})"

    @cached_property
    def stored(self) -> str:
        """All names, for a statement."""
        return ", ".join((*self.fields, GONE, "stamps", "checksum"))


TABLES = (
    Table(
        "nodes",
        ("id",),
        {
            "name": "TEXT",
            "address": "TEXT",
            "public_key": "TEXT",
            "role": "TEXT",
            "rights": "TEXT",
            "status": "TEXT",
            # By the member list: member, left, removed, revoked, rotated.
            "membership": "TEXT",
            "capabilities": "TEXT",
            "last_seen_at": "INTEGER",
            "joined_at": "INTEGER",
        },
        frozenset({"name", "address", "capabilities"}),
    ),
    Table(
        "node_resources",
        ("node_id", "resource_type"),
        {
            "resource_data": "TEXT",
            "offered": "TEXT",
            "benchmark_data": "TEXT",
            "last_updated_at": "INTEGER",
        },
        frozenset({"resource_data", "benchmark_data"}),
    ),
    Table(
        "configurations",
        ("id",),
        {
            "name": "TEXT",
            "description": "TEXT",
            "config_data": "TEXT",
            "created_by": "TEXT",
            "created_at": "INTEGER",
            "updated_at": "INTEGER",
            "is_template": "INTEGER",
            "template_category": "TEXT",
        },
        frozenset({"description", "config_data"}),
    ),
    Table(
        "builds",
        ("id",),
        {
            "config_id": "TEXT",
            "status": "TEXT",
            "started_at": "INTEGER",
            "completed_at": "INTEGER",
            "duration_ms": "INTEGER",
            "error": "TEXT",
            "metrics": "TEXT",
            "artifacts": "TEXT",
            "root": "TEXT",
            "triggered_by": "TEXT",
        },
        frozenset({"error", "metrics", "artifacts"}),
        lasting=False,
    ),
    Table(
        "build_packages",
        ("build_id", "package_name"),
        {
            "status": "TEXT",
            "started_at": "INTEGER",
            "completed_at": "INTEGER",
            "duration_ms": "INTEGER",
            "assigned_node": "TEXT",
            "output": "TEXT",
            "error": "TEXT",
        },
        frozenset({"output", "error"}),
        lasting=False,
    ),
    Table(
        "allocations",
        ("id",),
        {
            "build_id": "TEXT",
            "resource_type": "TEXT",
            "node_id": "TEXT",
            "amount": "TEXT",
            "created_at": "INTEGER",
            "expires_at": "INTEGER",
            "released_at": "INTEGER",
        },
        lasting=False,
    ),
    Table(
        "benchmarks",
        ("id",),
        {"node_id": "TEXT", "benchmark_type": "TEXT", "results": "TEXT", "run_at": "INTEGER"},
        frozenset({"results"}),
        lasting=False,
    ),
    Table(
        "api_keys",
        ("id",),
        {
            "key_hash": "TEXT",
            "name": "TEXT",
            "role": "TEXT",
            "created_at": "INTEGER",
            "expires_at": "INTEGER",
            "last_used_at": "INTEGER",
        },
    ),
    Table(
        "sessions",
        ("id",),
        {
            "kind": "TEXT",
            "actor": "TEXT",
            "status": "TEXT",
            "opened_at": "INTEGER",
            "closed_at": "INTEGER",
        },
        lasting=False,
    ),
    Table(
        "facts",
        ("entity",),
        {
            "version": "INTEGER",
            "type": "TEXT",
            "entry": "TEXT",
            "height": "INTEGER",
            "value": "TEXT",
        },
        frozenset({"value"}),
    ),
    Table(
        "rights",
        ("id",),
        {
            "rights": "TEXT",
            "rights_data": "TEXT",
            "created_by": "TEXT",
            "created_at": "INTEGER",
        },
        frozenset({"rights_data"}),
    ),
    # As the books say after all sealed entries; see :mod:`buildnet.ledger.accounts`.
    Table(
        "accounts",
        ("account",),
        {
            "owner": "TEXT",
            "entry": "TEXT",
            "state": "TEXT",
            "balances": "TEXT",
            "term": "INTEGER",
            "closed_after": "INTEGER",
        },
        frozenset({"state", "balances"}),
    ),
)
BY_NAME = {table.name: table for table in TABLES}
