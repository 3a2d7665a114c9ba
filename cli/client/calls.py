"""What a pool and a build can be asked, as data: a request, and how its answer is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar, cast

from buildnet.cli.client.asking import path_part
from buildnet.cli.client.shapes import BuildReport, Priority, Queue

Json = dict[str, Any]
T = TypeVar("T")


def _as_it_is(answer: Any) -> Any:
    return answer


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """``read``: makes what is asked for of the answer."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    read: Callable[[Any], T] = _as_it_is

    @property
    def is_repeatable(self) -> bool:
        """Whether it may be asked again where no answer came."""
        return self.method in ("GET", "POST")


# --- builds ------------------------------------------------------------------------------------


def begin_build(
    root: str | Path,
    packages: Sequence[str],
    *,
    task: str,
    priority: Priority | None,
    config: str | None,
    profile: str | None,
    force: bool,
    keep_going: bool,
    durable: bool,
    environment: Mapping[str, str] | None,
) -> Call[str]:
    """Begin a build; gives its id."""
    body = {
        "root": str(root),
        "packages": list(packages),
        "task": task,
        "priority": priority,
        "config_id": config,
        "profile": profile,
        "force": force,
        "keep_going": keep_going,
        "durable": durable,
        "environment": dict(environment or {}),
    }
    return Call("POST", "/api/build", body, read=lambda answer: str(answer["build_id"]))


def watch(
    root: str | Path,
    packages: Sequence[str],
    *,
    task: str,
    builds: bool,
    delay_s: float,
    priority: Priority | None,
    config: str | None,
    profile: str | None,
    keep_going: bool,
    environment: Mapping[str, str] | None,
) -> tuple[str, Json]:
    """Watch a workspace; path and body of what is asked, whose answer has no end."""
    return "/api/watch", {
        "root": str(root),
        "packages": list(packages),
        "task": task,
        "builds": builds,
        "delay_s": delay_s,
        "priority": priority,
        "config_id": config,
        "profile": profile,
        "keep_going": keep_going,
        "environment": dict(environment or {}),
    }


def builds(limit: int, status: str | None, node: str | None) -> Call[list[Json]]:
    """The latest builds of all nodes, or of one."""
    query = {"limit": limit, "status": status, "node": node}
    return Call("GET", "/api/builds", query=query, read=_list("builds"))


def build_report(build: str) -> Call[BuildReport]:
    """What is known of a build."""
    return Call("GET", build_path(build))


def build_log(build: str, package: str, task: str) -> Call[str]:
    """What a task's command printed."""
    query = {"package": package, "task": task}
    return Call("GET", f"{build_path(build)}/log", query=query, read=str)


def build_path(build: str) -> str:
    """Where a build is."""
    return f"/api/build/{path_part(build)}"


# --- the queue ---------------------------------------------------------------------------------


def queue() -> Call[Queue]:
    """What runs and waits in the cluster."""
    return Call("GET", "/api/queue")


def change_queue(change: str, build: str | None, said: Mapping[str, object]) -> Call[Json]:
    """Do something with a build in the queue; None: with all of it."""
    which = "" if build is None else f"/{path_part(build)}"
    return Call("POST", f"/api/queue{which}/{path_part(change)}", said)


# --- configurations ----------------------------------------------------------------------------


def configs() -> Call[list[Json]]:
    """All configurations."""
    return Call("GET", "/api/configs", read=_list("configs"))


def config(name: str) -> Call[Json]:
    """One configuration."""
    return Call("GET", _config(name))


def create_config(document: Mapping[str, Any]) -> Call[Json]:
    """Keep a new one."""
    return Call("POST", "/api/configs", document)


def change_config(name: str, changes: Mapping[str, Any], query: Mapping[str, Any]) -> Call[Json]:
    """Merge changes into one."""
    return Call("PUT", _config(name), changes, query)


def delete_config(name: str, query: Mapping[str, Any]) -> Call[Json]:
    """Delete one."""
    return Call("DELETE", _config(name), query=query)


# --- the pool ----------------------------------------------------------------------------------


def status() -> Call[Json]:
    """Cluster, coordinator, nodes and what they have."""
    return Call("GET", "/api/pool")


def node() -> Call[Json]:
    """The asked node's own status."""
    return Call("GET", "/api/node")


def ledger(limit: int, cursor: str | None, filters: Mapping[str, object]) -> Call[Json]:
    """Entries of the ledger."""
    return Call("GET", "/api/ledger", query={"limit": limit, "cursor": cursor, **filters})


def _config(name: str) -> str:
    return f"/api/configs/{path_part(name)}"


def _list(name: str) -> Callable[[Any], list[Json]]:
    return lambda answer: cast("list[Json]", answer[name])
