"""A running node as its API sees it: who it is, what the host has, how busy it is."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from buildnet import __version__
from buildnet.ledger.history import History
from buildnet.ledger.service.service import LedgerService
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.service.service import MeshService
from buildnet.node.advertiser import Advertiser
from buildnet.node.attempts import Attempts
from buildnet.node.attesting import Attesting
from buildnet.node.auth.access import Access
from buildnet.node.benchmark.keeping import Benchmarks
from buildnet.node.blob_exchange import BlobExchange
from buildnet.node.builder import Builder
from buildnet.node.config import NodeConfig, ResourceLimits, WorkerSettings
from buildnet.node.dead_letters import DeadLetters
from buildnet.node.defaults import Defaults
from buildnet.node.durable.watching import Watching
from buildnet.node.events.service import Events
from buildnet.node.failure import in_one_line
from buildnet.node.grants import granted
from buildnet.node.home import Home
from buildnet.node.hosts import Hosts, InFlight
from buildnet.node.in_force import InForce
from buildnet.node.ledger_tail import LedgerTail
from buildnet.node.ledger_upkeep_view import abstention_text, damage_text, left_out_text
from buildnet.node.log import set_level
from buildnet.node.log_lines import LogLines
from buildnet.node.offer import ResourcesFound
from buildnet.node.opened import OpenedWorkspaces
from buildnet.node.other_builds import OtherBuilds
from buildnet.node.own_keys import OwnKeys
from buildnet.node.pool_builds import PoolBuilds
from buildnet.node.pool_reader import PoolReader
from buildnet.node.presence import NodeJoined, NodeStarted, NodeStopped
from buildnet.node.recording import Recording
from buildnet.node.refusals import Refusals
from buildnet.node.scan.scanner import Scanner
from buildnet.node.scan.utilization import UtilizationMeter
from buildnet.node.sharing.expecting import Expecting
from buildnet.node.sharing.loans import LoansBrokenOff
from buildnet.node.sharing.service import Sharing
from buildnet.node.store import Store
from buildnet.node.telemetry import Telemetry
from buildnet.node.way_in import WayIn
from buildnet.node.whereabouts import answers
from buildnet.pool.advertisement import Lent
from buildnet.pool.membership import coordinator_of, is_reachable, node_problem
from buildnet.pool.resources import NodeResources, Utilization
from buildnet.pool.view import NodeState, benchmark_view

SCAN_INTERVAL_S = 600.0
SCAN_RETRY_S = 30.0
MEASURE_INTERVAL_S = 5.0
_log = logging.getLogger("buildnet.node")


class ScanError(BuildNetError):
    """The host could not be scanned, or not measured."""

    code = "SCAN_FAILED"
    http_status = 503


@dataclass(slots=True)
class NodeService:
    """Everything the API answers from.

    ``stopping`` is set when the node is to end; ``scanned`` once the first scan is over, however it
    ended. ``scan_problem`` tells why the last one failed, ``resources`` what the last good one
    found.
    """

    home: Home
    keys: OwnKeys
    name: str
    address: str
    way_in: WayIn
    in_force: InForce
    store: Store
    history: History
    builder: Builder
    mesh: MeshService
    exchange: BlobExchange
    ledger: LedgerService
    recording: Recording
    access: Access
    scanner: Scanner = field(default_factory=Scanner)
    meter: UtilizationMeter = field(default_factory=UtilizationMeter)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    scanned: asyncio.Event = field(default_factory=asyncio.Event)
    started: float = field(default_factory=time.monotonic)
    resources: NodeResources | None = None
    utilization: Utilization | None = None
    scan_problem: str | None = None
    advertiser: Advertiser = field(init=False)
    pool: PoolReader = field(init=False)
    tail: LedgerTail = field(init=False)
    defaults: Defaults = field(init=False)
    opened: OpenedWorkspaces = field(init=False)
    benchmarks: Benchmarks = field(init=False)
    dead_letters: DeadLetters = field(init=False)
    refusals: Refusals = field(default_factory=Refusals)
    attempts: Attempts = field(default_factory=Attempts)
    telemetry: Telemetry = field(default_factory=Telemetry)
    events: Events = field(default_factory=Events)
    log: LogLines = field(default_factory=LogLines)
    hosts: Hosts = field(init=False)
    attesting: Attesting = field(init=False)
    others: OtherBuilds = field(init=False)
    pool_builds: PoolBuilds = field(init=False)
    expecting: Expecting = field(init=False)
    sharing: Sharing | None = None
    watching: Watching | None = None
    _measuring_fails: bool = False
    _limits: tuple[WorkerSettings, ResourceLimits] = field(init=False)
    _limits_changed: bool = False
    _told_start: bool = False
    _scanning: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.advertiser = Advertiser(self)
        self.pool = PoolReader(self)
        self.mesh.told_names = self.pool.told_names
        self.mesh.on_new_key = self._take_key
        self.ledger.on_opened = self._introduce
        self.tail = LedgerTail(self.ledger)
        self.defaults = Defaults(self.home.defaults)
        self.opened = OpenedWorkspaces(self.home.opened, lambda: self.config.access.workspaces)
        self.benchmarks = Benchmarks(
            self.home.benchmark, self.home.work, self._cpu_model, self._has_nothing_to_do
        )
        self.dead_letters = self.builder.books.letters = DeadLetters(self.home.dead_letters)
        self.hosts = Hosts(self.in_force, self.in_flight, self.recording.put)
        self.others = OtherBuilds(self)
        self.pool_builds = PoolBuilds(self)
        self.attesting = Attesting(self.keys, self.store, self.exchange)
        self.expecting = Expecting(self.store, self.exchange, self._look_at, self._gets_ready)
        self.in_force.on_change = self._config_changed
        self._limits = (self.config.workers, self.config.resource_limits)

    @property
    def config(self) -> NodeConfig:
        """What counts now; not to be kept."""
        return self.in_force.config

    def _config_changed(self) -> None:
        """Let commands, other nodes and the next look at this host know what counts now."""
        limits = (self.config.workers, self.config.resource_limits)
        if limits != self._limits:
            self._limits, self._limits_changed = limits, True
            there_is = granted(self.config)
            self.builder.workers.change(
                there_is.slots, there_is.cores, there_is.memory_bytes, there_is.grant
            )
        self.store.capacity_bytes = self.config.cache_bytes
        set_level(self.config.log.level)
        if self.sharing is not None:
            self.sharing.look_again()
        self.advertiser.tell(time.monotonic())

    def in_flight(self) -> InFlight:
        """Return what goes on here for others, and which builds this node drives."""
        sharing = self.sharing
        return InFlight(
            draining=self.in_force.terms.draining,
            leases=0 if sharing is None else len(sharing.leases),
            running=0 if sharing is None else sharing.guests_running,
            builds=sum(not each.request.dry_run for each in self.builder.running()),
        )

    @property
    def lent(self) -> tuple[Lent, ...]:
        """To which builds of others this node lends."""
        return () if self.sharing is None else self.sharing.lent

    @property
    def lends_nothing(self) -> str | None:
        """Why this node lends nothing now, in words; None: it does, or is alone."""
        return None if self.sharing is None else self.sharing.refusal

    def _look_at(self, tool: str) -> None:
        self.builder.workshop.toolchain.tool(tool)

    def _gets_ready(self) -> bool:
        return self.lends_nothing is None and self.config.scheduling.fetch_ahead

    def _cpu_model(self) -> str | None:
        return None if self.resources is None else self.resources.cpu.model

    def _has_nothing_to_do(self) -> bool:
        is_idle = not self.builder.running() and not self.builder.workers.running
        return is_idle and self.resources is not None

    @property
    def key(self) -> NodeKey:
        """This node's key."""
        return self.keys.current

    @property
    def cluster(self) -> dict[str, str]:
        """The cluster that this node is a member of; maybe the only one."""
        view = self.mesh.view()
        return {"id": view.cluster_id.hex(), "name": view.cluster_name}

    @property
    def role(self) -> Literal["worker", "observer"]:
        """What this node does, by the cluster's member list."""
        member = self.mesh.member
        role = self.config.node_role if member is None else member.role.value
        return "observer" if role == "observer" else "worker"

    @property
    def rights(self) -> str:
        """What this node's owner may do in the cluster: ``none`` once it was removed."""
        member = self.mesh.member
        return "none" if member is None else member.rights.value

    def _introduce(self) -> None:
        """Tell the ledger of the cluster that this node is in now what it is and has."""
        self.recording.put(NodeJoined(self.name, self.role, self.address))
        if not self._told_start:
            self.recording.put(LoansBrokenOff())
            self.recording.put(NodeStarted(self.name, self.role, self.address))
            self._told_start = True
        if self.resources is not None:
            self.recording.put(ResourcesFound(self.name, self.resources))

    def farewell(self) -> NodeStopped:
        """Return what the ledger is told last."""
        if self.sharing is not None:
            self.sharing.end_loans("its node stops")
        self.access.record_uses()
        return NodeStopped(self.name, "it was told to stop")

    @property
    def ledger_problem(self) -> str | None:
        """What is wrong with the ledger, or with what this node records there; None: nothing."""
        trouble = self.ledger.trouble
        if trouble is None:
            ledger = self.ledger.open_now
            found = [self.recording.problem]
            if ledger is not None:
                found += [damage_text(ledger), left_out_text(ledger), abstention_text(ledger)]
            return "; ".join(filter(None, found)) or None
        hint = f" ({trouble.hint})" if trouble.hint else ""
        return f"nothing is recorded in the ledger: {trouble.message}{hint}"

    async def way_in_problem(self) -> str | None:
        """Say that other nodes will hardly get to this one; None: one did, or something answers at
        the address that it tells."""
        links = [member.link for member in self.mesh.view().members if member.link is not None]
        if any(not link.outgoing and link.relayed_by is None for link in links):
            return None
        if await answers(self.address):
            return None
        return (
            f"nobody answers at {self.address}, which this node tells others, and none has reached "
            "it so far: see network.advertise_address in node.yaml, and the firewall"
        )

    async def leave(self, *, force: bool) -> None:
        """Leave the cluster for one of this node's own; ``force``: even if nobody can be told."""
        if not force:
            await self.ledger.settle()
        await self.mesh.leave(force=force)

    async def rotate_key(self) -> None:
        """Give this node a new key; results that the old one signed stay good."""
        await self.ledger.settle()
        self.keys.remember()
        self._take_key(await self.mesh.rotate_key(self.home.key))
        self.advertiser.tell(time.monotonic())

    def _take_key(self, key: NodeKey) -> None:
        self.keys.current = key
        runtime = self.home.read_runtime()
        if runtime is not None:
            self.home.write_runtime(replace(runtime, node_id=self.key.node_id))

    async def scan(self, *, fresh: bool = False) -> NodeResources:
        """Scan the host and keep what was found; ``fresh`` asks every program again.

        Raises:
            ScanError: that failed; what an earlier scan found stays in use.
        """
        async with self._scanning:
            try:
                found = await self.scanner.scan(self.config, datetime.now(UTC), fresh=fresh)
            except Exception as error:
                self.scan_problem = in_one_line(error)
                self.scanned.set()
                raise self._scan_error() from error
            self.resources, self.scan_problem = found, None
            self.recording.put(ResourcesFound(self.name, found))
            self.scanned.set()
        return found

    async def watch_host(self) -> None:
        """Scan now and then, and measure how busy the host is, for as long as the node runs."""
        await self.measure()  # the first one only starts the clock of what follows
        next_scan = time.monotonic()
        while True:
            self.in_force.look()
            if self._limits_changed or time.monotonic() >= next_scan:
                wait_s, self._limits_changed = SCAN_INTERVAL_S, False
                try:
                    await self.scan()
                except ScanError:
                    _log.exception("the scan of this host failed; it is tried again soon")
                    wait_s = SCAN_RETRY_S
                next_scan = time.monotonic() + wait_s
            await self.measure()
            if not self.home.is_ours():
                _log.error("the data directory %s is gone: stopping", self.home.directory)
                self.stopping.set()
                return
            await asyncio.sleep(MEASURE_INTERVAL_S)

    async def measure(self) -> None:
        """Measure how busy the host is; where that fails, the last measurement stays in use."""
        volumes = self.resources.storage if self.resources else ()
        local = [volume for volume in volumes if volume.storage_class != "network"]
        try:
            self.utilization = await self.meter.utilization(datetime.now(UTC), local)
        except Exception:
            if not self._measuring_fails:  # once, not every few seconds
                _log.exception("measuring how busy this host is failed")
            self._measuring_fails = True
        else:
            self._measuring_fails = False

    @property
    def scan_state(self) -> str | None:
        """Why nothing is known of what this host has, in words; None: it is known."""
        if self.resources is not None:
            return None
        if self.scan_problem is None:
            return "this host is being scanned"
        return (
            f"this host could not be scanned ({self.scan_problem}); buildnet node scan tries again"
        )

    def _scan_error(self) -> ScanError:
        return ScanError(
            "this host could not be scanned",
            cause=self.scan_problem,
            hint=f"it is tried again every {SCAN_RETRY_S:.0f} s, and by buildnet node scan; "
            f"the log has the details: {self.home.log}",
        )

    def node_status(self) -> dict[str, Any]:
        """Return the JSON of ``node status``."""
        running = [each for each in self.builder.running() if not each.request.dry_run]
        view = self.pool.view()
        coordinator = coordinator_of(view)
        return {
            "node_id": view.node_id,
            "name": self.name,
            "address": self.address,
            "role": self.role,
            "rights": self.rights,
            "status": "busy" if running else "online",
            "problem": "; ".join(
                filter(None, (node_problem(view), self.ledger_problem, self.in_force.problem))
            )
            or None,
            "tls": self.way_in.has_tls,
            "warning": self.way_in.warning,
            "joining": self.attempts.view(),
            "cluster": {
                **self.cluster,
                "members": len(view.members),
                "reachable": sum(is_reachable(member, view) for member in view.members),
            },
            "coordinator": None if coordinator is None else asdict(coordinator),
            "term": coordinator.term if coordinator else 0,
            "uptime_s": round(time.monotonic() - self.started, 1),
            "version": __version__,
            "home": str(self.home.directory),
            "slots": self.builder.workers.slots,
            "draining": self.in_force.terms.draining,
            "lends_nothing": self.lends_nothing,
            "lent": [each.model_dump() for each in self.lent],
            "terms": self.in_force.terms.model_dump(mode="json"),
            "benchmark": benchmark_view(self.benchmarks.latest, datetime.now(UTC)),
            "isolation": self._isolation_status(),
            "builds": [build.summary() for build in running],
            "ledger": self._ledger_status(),
        }

    def _isolation_status(self) -> dict[str, str | None]:
        found = self.builder.levels.known
        if found is None:
            return {"level": None, "reason": None, "limits": self.builder.levels.limits_kept_by}
        return {
            "level": found.level,
            "reason": found.reason,
            "limits": self.builder.levels.limits_kept_by,
        }

    def _ledger_status(self) -> dict[str, Any]:
        ledger = self.ledger.open_now
        last = None if ledger is None else ledger.core.last
        return {
            "open": ledger is not None,
            "height": 0 if last is None else last.height,
            "waiting": self.recording.waiting,
            "lost": self.recording.lost,
            "problem": self.ledger_problem,
        }

    async def own_state(self) -> NodeState:
        """Return this node's state at first hand; without resources as long as no scan of this host
        has succeeded."""
        if self.utilization is None or self.utilization.cpu_percent is None:
            await self.measure()
        measured = self.utilization
        scanned_at = self.resources.scanned_at if self.resources else None
        measured_at = measured.measured_at if measured else scanned_at
        age = None if measured_at is None else datetime.now(UTC) - measured_at
        running = self.builder.workers.running
        return NodeState(
            id=self.key.node_id,
            name=self.name,
            status="busy" if running else "online",
            role=self.role,
            rights=self.rights,
            version=__version__,
            address=self.address,
            measured_at=measured_at,
            age_s=None if age is None else max(0.0, age.total_seconds()),
            resources=self.resources,
            utilization=measured,
            actions_running=running,
            cores_in_use=self.builder.workers.slots_in_use,
            tags=self.config.node_tags,
            slots=self.builder.workers.slots,
            benchmark=self.benchmarks.latest,
            this_node=True,
            draining=self.in_force.terms.draining,
            lends_nothing=self.lends_nothing,
            lent=self.lent,
            builds=sum(not each.request.dry_run for each in self.builder.running()),
            priority_weight=self.config.scheduling.priority_weight,
        )
