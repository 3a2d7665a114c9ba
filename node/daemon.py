"""The daemon: the only place that wires the rooms together and owns a node's life."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from buildnet import __version__
from buildnet.ledger.history import History
from buildnet.ledger.service.service import LedgerService
from buildnet.ledger.service.settings import LedgerSettings
from buildnet.mesh.bulk.allocator import keep_large_buffers
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import is_signed_by
from buildnet.mesh.members.member_list import Role
from buildnet.mesh.service.opening import settle_rotation
from buildnet.mesh.service.service import MeshService, MeshSettings
from buildnet.node import queue_record
from buildnet.node.api.app import create_application
from buildnet.node.api.encrypted_only import EncryptedOnly
from buildnet.node.api.entrance import Entrance, names_of
from buildnet.node.api.gate import Gate
from buildnet.node.artifacts import Artifacts
from buildnet.node.auth.caller import NOBODY, OWNER, Caller
from buildnet.node.auth.opening import access_of
from buildnet.node.auto_build.own import Wanted
from buildnet.node.blob_exchange import BlobExchange
from buildnet.node.build_record import BuildInterrupted
from buildnet.node.builder import Builder
from buildnet.node.config import LogSettings, NodeConfig, StorageLimitSettings, load_config
from buildnet.node.durable.opening import durable_builds
from buildnet.node.ending import Ending
from buildnet.node.events.sources import sources_of
from buildnet.node.execute.limits import ActionLimits
from buildnet.node.execute.process_tree import become_child_subreaper
from buildnet.node.failure import first_cause
from buildnet.node.grants import control_groups, granted
from buildnet.node.guests import guests_of
from buildnet.node.home import Home, HomeError, Runtime, make_private
from buildnet.node.in_force import InForce
from buildnet.node.installs import KEPT, Installs
from buildnet.node.joining_at_start import join_at_start
from buildnet.node.listen import DEFAULT_PORTS, Address, bind_first, parse_address
from buildnet.node.log import configure_logging, log_crashes
from buildnet.node.log_lines import kept_log
from buildnet.node.nearest_holder import NearestHolder
from buildnet.node.own_keys import OwnKeys
from buildnet.node.pool_results import PoolResults, is_trusted
from buildnet.node.recording import Recording
from buildnet.node.refusals import Refusals
from buildnet.node.server import serving
from buildnet.node.service import NodeService
from buildnet.node.sharing.far_tools import ToolsElsewhere
from buildnet.node.sharing.guest_work import GuestWork
from buildnet.node.sharing.service import Sharing
from buildnet.node.store import ActionRecord, Store
from buildnet.node.store.scrubbing import Scrubber
from buildnet.node.toolchain import Toolchain
from buildnet.node.way_in import way_in_of
from buildnet.node.whereabouts import Whereabouts, follow
from buildnet.pool.result import signed_message

# Below a directory that the owner gives for a purpose: what else lies there is not ours.
STORE_FOLDER = "buildnet-store"
WORK_FOLDER = "buildnet-work"
_COLLECT_AFTER = 20_000  # at Python's 700 it walks some twenty times through what a build just made
_log = logging.getLogger("buildnet.node")


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How a node is to start.

    ``listen`` None: what node.yaml says, by default port 80, or 8080 where 80 can't be had.
    ``any_port`` lets the system choose a port if those can't be had either. ``join`` is the address
    of a node whose cluster to join once this one answers, with ``token`` or an admin's approval,
    tried again while nobody answers there; a node that has joined one before goes on there.
    ``log_file`` None: standard error.
    """

    home: Path
    config: Path | None = None
    listen: str | None = None
    name: str | None = None
    any_port: bool = False
    role: str | None = None
    join: str | None = None
    token: str | None = None
    log_format: str | None = None
    log_file: Path | None = None


def run(options: StartOptions, on_ready: Callable[[Runtime], None]) -> None:
    """Run a node until it is told to stop (SIGTERM, SIGINT, or over its API).

    ``on_ready`` is called once everything answers.

    Raises:
        AlreadyRunningError: a node runs on this data directory.
        BuildNetError: the node can't start; nothing was destroyed.
    """
    home = Home(options.home)
    home.prepare()
    home.lock()
    try:
        # Twice: what goes wrong before the configuration is read belongs into the log too.
        _log_as(options, LogSettings())
        config = load_config(options.config or home.config, required=options.config is not None)
        _log_as(options, config.log)
        log_crashes(options.log_file)
        import uvloop

        keep_large_buffers()
        ending = Ending()
        try:
            uvloop.run(_run(options, home, config, on_ready, ending))
        finally:
            ending.over()
    except BaseExceptionGroup as group:  # what fails beside task groups comes out of them as one
        raise first_cause(group) from group
    finally:
        home.unlock()


def _log_as(options: StartOptions, settings: LogSettings) -> None:
    form = options.log_format or settings.format
    try:
        configure_logging(level=settings.level, form=form, file=options.log_file)
    except OSError as error:
        raise HomeError(
            f"the log {options.log_file} can't be written",
            cause=str(error),
            hint="make it writable for this user, or move it away",
        ) from error


async def _run(
    options: StartOptions,
    home: Home,
    config: NodeConfig,
    on_ready: Callable[[Runtime], None],
    ending: Ending,
) -> None:
    async with running_node(options, home, config) as (service, runtime):
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stopping.set)
        async with asyncio.TaskGroup() as group:
            # What was loaded stays: to walk through it takes the loop some 50 ms each time.
            gc.freeze()
            gc.set_threshold(_COLLECT_AFTER)
            on_ready(runtime)
            joining = options.join and group.create_task(
                join_at_start(service, options.join, options.token)
            )
            await service.stopping.wait()
            _log.info("stopping")
            ending.begin(loop)
            if joining:
                joining.cancel()
        await service.builder.stop()


@asynccontextmanager
async def running_node(
    options: StartOptions, home: Home, config: NodeConfig
) -> AsyncIterator[tuple[NodeService, Runtime]]:
    """Start a node on a locked home and stop it at the end of the context."""
    listen = None if options.listen is None else parse_address(options.listen)
    given = {
        "node_name": options.name,
        "node_role": options.role,
        "network.listen_address": None if listen is None else listen.host,
        "network.listen_port": None if listen is None else listen.port,
        "log.format": options.log_format,
    }
    said = {key: value for key, value in given.items() if value is not None}
    in_force = InForce(home.terms, options.config or home.config, config, said)
    await settle_rotation(home.key, home.directory)
    keys = OwnKeys(home.key, home.former_keys)
    name = options.name or config.node_name or home.kept_name() or socket.gethostname()
    become_child_subreaper()

    def is_good(record: ActionRecord) -> bool:
        worker = record.worker
        message = signed_message(record.action, record.isolation, record.result)
        if keys.signed(worker, message, record.signature):
            return True
        of_member = is_trusted(mesh.cluster.local.members, worker)
        return of_member and is_signed_by(worker, message, record.signature)

    async with AsyncExitStack() as stack:
        log = stack.enter_context(kept_log())
        listener, passed_over = bind_first(_addresses(options, config))
        stack.callback(listener.close)
        for why in passed_over:
            _log.warning("%s; listening on another port", why)
        way_in, certificate = way_in_of(listener, config.network)
        cache, builds = config.storage_for("cache"), config.storage_for("builds")
        store = await asyncio.to_thread(
            Store.open,
            _given(cache, STORE_FOLDER) or home.store,
            config.cache_bytes,
            verify=is_good,
        )
        stack.callback(store.close)
        history = await History.open(home.history)
        stack.push_async_callback(history.close)
        ledger = LedgerService(home.directory, _ledger_settings(config))
        recording = Recording(ledger)
        interrupted = await history.close_interrupted(datetime.now(UTC).timestamp())
        for build in interrupted:
            recording.put(BuildInterrupted(build.id, build.error or "", build.status == "failed"))
        if interrupted:
            _log.warning("%d builds were interrupted when the node last stopped", len(interrupted))
        there_is = granted(in_force.config)
        groups = stack.enter_context(control_groups(config))
        toolchain = Toolchain(home.directory / "toolbox", config.tool_overrides)
        installs = Installs(home.directory, toolchain, config.install, config.cache.max_bytes)
        results = PoolResults(store)
        builder = await stack.enter_async_context(
            Builder(
                keys=keys,
                store=store,
                results=results,
                history=history,
                toolchain=toolchain,
                work=_given(builds, WORK_FOLDER) or home.work,
                installs=installs,
                capacity=there_is.capacity(
                    builds.path if builds else home.directory, builds.max_bytes if builds else None
                ),
                grant=there_is.grant,
                timeout_s=config.workers.timeout,
                output_limit_bytes=config.workers.output_limit,
                action_limits=ActionLimits(
                    memory_bytes=config.workers.memory,
                    processes=config.workers.processes,
                    disk_bytes=config.workers.disk,
                    cores=there_is.cores,
                ),
                isolation=config.workers.isolation,
                private=home.directory,
                groups=groups,
                record=recording.put,
            )
        )
        where = Whereabouts.of(listener, config.network)
        mesh = await MeshService.open(
            keys.current,
            MeshSettings(
                directory=home.directory,
                name=name,
                role=Role(role) if (role := options.role or config.node_role) else None,
                addresses=where.addresses,
                seeds=config.network.peers,
                lan_addresses=where.on_lan,
                proxies=config.network.proxies,
                key_path=home.key,
            ),
        )
        stack.push_async_callback(mesh.close)
        refusals = Refusals()
        exchange = stack.enter_context(
            BlobExchange.running(mesh, store, refusals.take, config.network.bulk_limit)
        )
        results.fetch_all = exchange.fetch_all
        access = await stack.enter_async_context(
            access_of(
                home,
                lambda: in_force.config,
                mesh,
                lambda: keys.current,
                ledger,
                recording,
                history,
                builder.running,
            )
        )
        service = NodeService(
            home=home,
            keys=keys,
            name=name,
            address=where.addresses[0],
            way_in=way_in,
            in_force=in_force,
            store=store,
            history=history,
            builder=builder,
            mesh=mesh,
            exchange=exchange,
            ledger=ledger,
            recording=recording,
            access=access,
            log=log,
            refusals=refusals,
        )

        builder.books.ended = service.telemetry.build_ended
        builder.watches.own.follow(
            lambda: Wanted.of(service.config.watch, service.config.auto_build)
        )
        endpoint = config.telemetry.endpoint
        stack.enter_context(service.telemetry.tracing(endpoint, name, keys.current.node_id))

        async def tidy() -> None:
            await asyncio.to_thread(builder.levels.tidy)
            await builder.forget_dependencies(keep=KEPT)

        nearest = NearestHolder(store, exchange.fetch_all, lambda: sharing.known.latency_ms)
        work = GuestWork(
            keys=keys,
            store=store,
            workers=builder.workers,
            toolchain=toolchain,
            limits=builder.limits,
            executor=builder.levels.strict,
            fetch_all=nearest.fetch_all,
            tidy=tidy,
            trees=installs.trees,
            trees_max_bytes=config.cache.max_bytes,
            ended=service.telemetry.guest_ended,
        )
        sharing = Sharing(
            builder.workers,
            work,
            settings=lambda: service.config.scheduling,
            role=lambda: service.role,
            is_drained=lambda: in_force.terms.draining,
            record=recording.put,
            recalled=partial(queue_record.recalled, ledger),
        )
        service.sharing = sharing
        results.latency_ms = lambda: sharing.known.latency_ms
        sharing.known.look = service.pool.hosts
        builder.workshop.sharing = sharing
        builder.workshop.tools = tools = ToolsElsewhere(toolchain, lambda: sharing.refusal)
        durable = await stack.enter_async_context(
            durable_builds(
                home,
                builder,
                history,
                results,
                config.scheduling,
                recording.put,
                lambda: sharing.refusal,
            )
        )
        service.watching = durable.watching
        artifacts = builder.workshop.artifacts = Artifacts(store, results, lambda: sharing.closed)
        mesh.guest_of = guests_of(
            service,
            results=results,
            sharing=sharing,
            artifacts=artifacts,
            tools=tools,
            nearest=nearest,
            durable=durable,
        )
        application = create_application(service)

        def gate(otherwise: Caller) -> Gate:
            return Gate(
                application,
                application.declared,
                access.authenticator,
                otherwise,
                access.connections,
            )

        def names() -> frozenset[str]:
            return names_of((service.address,))

        local = stack.enter_context(_unix_listener(home))
        await stack.enter_async_context(access.running())
        inner: ASGIApp = gate(NOBODY)
        access.forwarding.application = inner
        public = Entrance(inner if certificate is None else EncryptedOnly(inner), names)
        await stack.enter_async_context(serving(Entrance(gate(OWNER)), local))
        await stack.enter_async_context(serving(public, listener, refusals.stranger, certificate))
        await stack.enter_async_context(mesh.running())
        await stack.enter_async_context(recording.running(service.farewell))
        await stack.enter_async_context(service.pool_builds.running())
        await stack.enter_async_context(service.events.running(sources_of(service)))
        runtime = Runtime(
            node_id=keys.current.node_id,
            name=name,
            address=service.address,
            socket=str(home.socket_path()),
            pid=os.getpid(),
            home=str(home.directory),
            started_at=datetime.now(UTC).isoformat(timespec="seconds"),
            version=__version__,
        )
        home.keep_name(name)
        home.write_runtime(runtime)
        stack.callback(home.remove_runtime)

        def move(found: Whereabouts) -> None:
            service.address = found.addresses[0]
            mesh.set_addresses(found.addresses, found.on_lan)
            with suppress(HomeError):  # a full disk: the next start writes it anew
                told = home.read_runtime() or runtime
                home.write_runtime(replace(told, address=service.address))

        def look() -> Whereabouts:
            return Whereabouts.of(listener, config.network)

        group = await stack.enter_async_context(asyncio.TaskGroup())
        scrubber = Scrubber(
            store, lambda: bool(builder.running()), interval_s=config.cache.scrub_interval
        )
        for watching in (
            service.watch_host(),
            service.advertiser.run(),
            service.benchmarks.run_when_due(),
            follow(where, look, move),
            scrubber.run(),
        ):
            stack.callback(group.create_task(watching).cancel)
        _log.info("node %s (%s) answers on %s", name, runtime.node_id, runtime.address)
        yield service, runtime


def _ledger_settings(config: NodeConfig) -> LedgerSettings:
    said = config.ledger
    return LedgerSettings(
        retention_s=said.retention,
        scrub_s=said.scrub_interval,
        key_file=said.encryption.key_file,
        former_key_file=said.encryption.former_key_file,
    )


def _given(volume: StorageLimitSettings | None, folder: str) -> Path | None:
    """Return our directory on a volume that the owner gave; what is in it is for nobody else."""
    if volume is None:
        return None
    directory = volume.path / folder
    try:
        return make_private(directory)
    except OSError as error:
        raise HomeError(
            f"{directory} can't be used",
            cause=error.strerror or str(error),
            hint="make its directory writable for this user, or change resource_limits.storage",
        ) from error


def _addresses(options: StartOptions, config: NodeConfig) -> Sequence[Address]:
    if options.listen is not None:
        return [parse_address(options.listen)]
    host, port = config.network.listen_address, config.network.listen_port
    if port != DEFAULT_PORTS[0]:
        return [Address(host, port)]
    ports = (*DEFAULT_PORTS, 0) if options.any_port else DEFAULT_PORTS
    return [Address(host, each) for each in ports]


@contextmanager
def _unix_listener(home: Home) -> Iterator[socket.socket]:
    path = home.prepare_socket()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        except OSError as error:
            raise BuildNetError(
                f"the node's socket {path} can't be made",
                cause=str(error),
                hint="choose another data directory with BUILDNET_HOME",
            ) from error
        finally:
            os.umask(before)
        listener.listen(128)
        listener.setblocking(False)
        yield listener
