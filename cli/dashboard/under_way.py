"""The builds that run and wait, of what the channels tell."""

from __future__ import annotations

from buildnet.cli.dashboard.channels import Channels, Item
from buildnet.cli.dashboard.screen import BuildRow, QueueRow

WHOLE_QUEUE = "queue"


def running_builds(channels: Channels, now: float) -> tuple[BuildRow, ...] | None:
    """Return the builds that run, those that began first before the others; None: nothing is known
    of them. Of those that the node does not follow the queue alone tells."""
    if channels.items("builds") is None:
        return None
    unix = channels.unix(now)
    queued, waiting = dict(channels.rows("queue", WHOLE_QUEUE)), _waiting(channels)
    rows = []
    for key, item in channels.rows("builds"):
        if item["status"] == "running" and key not in waiting:
            rows.append((item["started_at"] or unix, _followed(key, item, unix)))
    known = dict(channels.rows("builds"))
    for key, item in queued.items():
        if key not in waiting and key not in known:
            rows.append((item["asked_at"], _of_queue(key, item, unix)))
    return tuple(row for _, row in sorted(rows, key=lambda each: (each[0], each[1].id)))


def waiting_builds(channels: Channels, now: float) -> tuple[QueueRow, ...] | None:
    """Return the builds that wait or are paused, who comes next first; None: nothing is known of
    them."""
    if channels.items("queue") is None:
        return None
    rows = [_queued(channels, key, item, now) for key, item in _waiting(channels).items()]
    return tuple(sorted(rows, key=lambda row: (row.place, row.id)))


def paused_builds(channels: Channels) -> int:
    """Return how many builds are paused."""
    return sum(item["state"] == "paused" for _, item in channels.rows("queue", WHOLE_QUEUE))


def queue_problem(channels: Channels) -> str | None:
    """Return in words what is to be known of the queue as a whole; None: nothing."""
    whole = (channels.items("queue") or {}).get(WHOLE_QUEUE)
    if whole is None:
        return None
    if whole["paused"]:
        return f"the queue is paused by {whole['paused_by'] or 'somebody'}"
    if not whole["complete"]:
        return "no coordinator answers: the queue shows the builds of the asked node alone"
    return None


def _waiting(channels: Channels) -> dict[str, Item]:
    """Return what the queue has of builds that wait or are paused. That one runs, or is over, its
    own events tell a second before the coordinator does."""
    builds = channels.items("builds") or {}
    begun = {key for key, item in builds.items() if item["running"]}
    over = {key for key, item in builds.items() if item["status"] != "running"}
    return {
        key: item
        for key, item in channels.rows("queue", WHOLE_QUEUE)
        if key not in over
        and (item["state"] == "paused" or (item["state"] == "waiting" and key not in begun))
    }


def _followed(key: str, item: Item, unix: float) -> BuildRow:
    started, estimated = item["started_at"], item["estimated_ms"]
    elapsed = None if started is None else max(0.0, unix - started)
    left = None
    if elapsed is not None and estimated is not None:
        left = max(0.0, estimated / 1000 - elapsed)
    return BuildRow(
        id=key,
        workspace=str(item["workspace"]),
        actor=str(item["actor"]),
        node=str(item["node"]),
        status=str(item["status"]),
        tasks=item["tasks"],
        done=int(item["done"]),
        failed=int(item["failed"]),
        running=tuple(item["running"]),
        waits_for=item["waits_for"],
        elapsed_s=elapsed,
        estimated_s=None if estimated is None else estimated / 1000,
        left_s=left,
    )


def _of_queue(key: str, item: Item, unix: float) -> BuildRow:
    return BuildRow(
        id=key,
        workspace=str(item["workspace"]),
        actor=str(item["actor"]),
        node=str(item["node"]),
        status="running",
        elapsed_s=max(0.0, unix - item["asked_at"]),
    )


def _queued(channels: Channels, key: str, item: Item, now: float) -> QueueRow:
    starts = item["starts_in_s"]
    if starts is not None:
        starts = max(0.0, starts - (now - channels.told_at("queue", key, "starts_in_s")))
    return QueueRow(
        id=key,
        place=int(item["place"]),
        workspace=str(item["workspace"]),
        actor=str(item["actor"]),
        node=str(item["node"]),
        priority=str(item["priority"]),
        words=str(item["words"]) + (f" ({item['reason']})" if item.get("reason") else ""),
        waited_s=max(0.0, channels.unix(now) - item["asked_at"]),
        starts_in_s=starts,
    )
