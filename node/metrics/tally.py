"""Counts and durations of what this node did since it started, kept while it happens."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from buildnet.node.resolve import Tier
from buildnet.node.tracing.spans import BuildRan

_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
GUEST_OUTCOMES = ("succeeded", "failed", "refused")

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each of them


class Tally:
    """To be used on the event loop's thread. ``registry`` holds all of them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._builds = Counter(
            "buildnet_builds",
            "Builds that this node drove to their end",
            ("status",),
            registry=self.registry,
        )
        self._build_seconds = Histogram(
            "buildnet_build_duration_seconds",
            "From the request for a build to its end",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._tasks = Counter(
            "buildnet_tasks",
            "Tasks of builds that this node drove: how each ended, and where its result came from",
            ("status", "tier"),
            registry=self.registry,
        )
        self._commands = Histogram(
            "buildnet_command_duration_seconds",
            "Of tasks whose command ran, from their turn until their outputs are stored; place: "
            "here or elsewhere",
            ("place", "isolation"),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._guests = Counter(
            "buildnet_guest_commands",
            "Commands that other nodes asked this one to run",
            ("outcome",),
            registry=self.registry,
        )
        # What never happened is zero, not missing: a rate of it can be taken from the start.
        for status in ("succeeded", "failed", "cancelled"):
            self._builds.labels(status)
        for place in ("here", "elsewhere"):
            self._commands.labels(place, "strict")
        for outcome in GUEST_OUTCOMES:
            self._guests.labels(outcome)
        self._tasks.labels("succeeded", "instant-skip")

    def build_ended(self, ran: BuildRan) -> None:
        """Count a build and its tasks."""
        self._builds.labels(ran.status.value).inc()
        self._build_seconds.observe((ran.ended_ns - ran.began_ns) / 1e9)
        for _, report in ran.tasks:
            tier = "none" if report.tier is None else report.tier.value
            self._tasks.labels(report.status.value, tier).inc()
            if report.tier is Tier.FULL:
                place = "here" if report.node_name is None else "elsewhere"
                isolation = report.isolation or "none"
                self._commands.labels(place, isolation).observe(report.duration_ms / 1000)
        if ran.unchanged:
            self._tasks.labels("succeeded", "instant-skip").inc(ran.unchanged)

    def guest_ended(self, outcome: str) -> None:
        """Count a command of another node; ``outcome``: one of :data:`GUEST_OUTCOMES`."""
        self._guests.labels(outcome).inc()
