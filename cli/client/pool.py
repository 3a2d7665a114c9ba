"""The pool as a script uses it: builds, queue, configurations, nodes, events.

from buildnet.cli.client import Pool

pool = Pool("http://build.example:8080", key="ci.key")
report = pool.build("/srv/shop").wait()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from buildnet.cli.client import calls
from buildnet.cli.client.build import Build
from buildnet.cli.client.calls import Json
from buildnet.cli.client.connection import Client
from buildnet.cli.client.events import follow
from buildnet.cli.client.shapes import ChannelName, Event, Priority, Queue, WatchEvent
from buildnet.cli.client.watch import watch_broke_off, watch_event
from buildnet.cli.credential import Credential
from buildnet.node.home import Home, default_home

PATIENCE_S = 60.0


class Pool:
    """All methods raise :class:`~buildnet.cli.client.AnswerError` where the node refuses, with its
    ``code``, ``message``, ``cause`` and ``hint``, and
    :class:`~buildnet.cli.client.NodeUnreachableError` where none answers. What only looks, or
    begins something, is asked again for ``retry_s`` before that, and done once.

    Args:
        url: of any node of the pool; None: this host's own, through its socket.
        key: as ``buildnet key create`` wrote it, or the file that it stands in, with the secret of
            a key that is bound: each request is signed then.
        home: data directory of this host's node; None: the usual one.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | Path | None = None,
        home: Path | None = None,
        retry_s: float = 10.0,
    ) -> None:
        credential = None if key is None else Credential.read(str(key))
        socket_path = Home(home or default_home()).socket_path() if url is None else None
        self.client = Client(
            socket_path=socket_path, url=url, credential=credential, retry_s=retry_s
        )

    # --- builds --------------------------------------------------------------------------------

    def build(
        self,
        root: str | Path,
        packages: Sequence[str] = (),
        *,
        task: str = "build",
        priority: Priority | None = None,
        config: str | None = None,
        profile: str | None = None,
        force: bool = False,
        keep_going: bool = False,
        durable: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Build:
        """Ask for a build and return it at once.

        Args:
            root: a directory in the workspace, on the host of the asked node.
            packages: only these and what they depend on; none: all.
            config, profile: names of what it goes by.
            durable: run nothing before another node could go on with it.
            environment: what commands may inherit of it, by ``env_inherit``; it is sent as it is.
        """
        call = calls.begin_build(
            root,
            packages,
            task=task,
            priority=priority,
            config=config,
            profile=profile,
            force=force,
            keep_going=keep_going,
            durable=durable,
            environment=environment,
        )
        return Build(self.client, self.client.do(call))

    def attach(self, build_id: str) -> Build:
        """Return a build of any node by its id."""
        return Build(self.client, build_id)

    def watch(
        self,
        root: str | Path,
        packages: Sequence[str] = (),
        *,
        task: str = "build",
        builds: bool = True,
        delay_s: float = 0.0,
        priority: Priority | None = None,
        config: str | None = None,
        profile: str | None = None,
        keep_going: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Iterator[WatchEvent]:
        """Have a workspace built, and again each time after something changed that it is made from,
        until no more is read. Yields what changes, and the events of each build. It is asked for
        once.

        Args:
            root, packages, priority, config, profile, environment: as of :meth:`build`.
            builds: else nothing is built; what a build would do is told, and prepared.
            delay_s: so long after what node.yaml says a build begins.

        Raises:
            AnswerError: the node refuses, or the workspace can't be watched any more.
            NodeUnreachableError: the node does not answer, or stopped.
            EventsEndedError: the credential does not count any more.
        """
        path, body = calls.watch(
            root,
            packages,
            task=task,
            builds=builds,
            delay_s=delay_s,
            priority=priority,
            config=config,
            profile=profile,
            keep_going=keep_going,
            environment=environment,
        )
        with self.client.stream(path, body) as events:
            for event in events:
                yield watch_event(event)
        raise watch_broke_off()

    def builds(
        self, limit: int = 20, status: str | None = None, node: str | None = None
    ) -> list[Json]:
        """Return the latest builds of all nodes, newest first; ``node``: of this one, by its name
        or the beginning of its id."""
        return self.client.do(calls.builds(limit, status, node))

    # --- the queue -----------------------------------------------------------------------------

    def queue(self) -> Queue:
        """Return what runs and waits in the cluster."""
        return self.client.do(calls.queue())

    def change_queue(self, change: str, build_id: str | None = None, **said: object) -> Json:
        """Do something with a build in the queue, or with all of it.

        Args:
            change: ``pause``, ``resume``, ``cancel``, ``priority`` (with ``priority=``) or ``move``
                (with ``place=``).
            build_id: the build; None: the queue as a whole, which can be paused and resumed.
            said: what else belongs to the change, and ``actor`` and ``reason``.
        """
        return self.client.do(calls.change_queue(change, build_id, said))

    # --- configurations ------------------------------------------------------------------------

    def configs(self) -> list[Json]:
        """Return all configurations."""
        return self.client.do(calls.configs())

    def config(self, name: str) -> Json:
        """Return one configuration by its id."""
        return self.client.do(calls.config(name))

    def create_config(self, config: Mapping[str, Any]) -> Json:
        """Keep a new configuration."""
        return self.client.do(calls.create_config(config))

    def change_config(self, name: str, changes: Mapping[str, Any], **query: object) -> Json:
        """Merge changes into a configuration (RFC 7396); ``expects``: only if it is in this
        version; ``replace``: put it in its place."""
        return self.client.do(calls.change_config(name, changes, query))

    def delete_config(self, name: str, **query: object) -> Json:
        """Delete a configuration; ``expects``: only if it is in this version."""
        return self.client.do(calls.delete_config(name, query))

    # --- the pool ------------------------------------------------------------------------------

    def status(self) -> Json:
        """Return cluster, coordinator, nodes and what they have, as ``buildnet pool status``."""
        return self.client.do(calls.status())

    def node(self) -> Json:
        """Return the asked node's own status."""
        return self.client.do(calls.node())

    def ledger(self, limit: int = 50, cursor: str | None = None, **filters: object) -> Json:
        """Return ``entries`` of the ledger, newest first, and the cursor of the ``next`` page."""
        return self.client.do(calls.ledger(limit, cursor, filters))

    def events(
        self,
        *channels: ChannelName,
        build: str = "",
        cursor: str | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Iterator[Event]:
        """Yield what happens in the pool, for ever: a ``snapshot`` first, then each event. Where
        the connection breaks it goes on after the last one, and tells nothing twice; if that can't
        be, another ``snapshot`` with ``gap`` comes.

        Args:
            channels: none: all but ``sessions``, for who manages access, and ``node_logs``,
                for the owner of the host.
            build: of builds, queue and logs only what concerns the one with this id.
            cursor: of the last event that is known; what came since is told, if the node knows it.
            patience_s: so long a node is waited for that does not answer.

        Raises:
            EventsEndedError: the credential does not count any more.
        """
        return follow(self.client, channels, build, cursor, patience_s)
