"""Third-party dependencies of a workspace: installed once, seen by every action that needs them.

Installing is an action like any other, keyed by lock file, manifests, package manager, runtime and
platform, but allowed on the network and given a cache; its outputs are ``node_modules`` trees that
lie unpacked in the data directory. A ``node_modules`` in the workspace that matches the lock file
serves instead.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.config import InstallSettings
from buildnet.node.downloads import Downloads
from buildnet.node.execute.executor import ExecutionRequest
from buildnet.node.execute.isolation import STRICT, Isolation
from buildnet.node.execute.launcher.places import CACHE, SETTINGS
from buildnet.node.execute.limits import ActionLimits
from buildnet.node.execute.mounts import Mount
from buildnet.node.execute.trees import UnpackedTrees
from buildnet.node.install_inputs import install_inputs
from buildnet.node.installed import changed_by_hand
from buildnet.node.installed_tree import TakenIn
from buildnet.node.lockfiles import installed_matches
from buildnet.node.platform import platform_properties
from buildnet.node.resolve import Prepared, Tier, decode_record
from buildnet.node.sources import Sources
from buildnet.node.store import Hold
from buildnet.node.toolchain import Toolchain
from buildnet.pool.action import Action, ActionSpec, encode_action
from buildnet.pool.tree import DirectoryTree
from buildnet.pool.workspace import Install, Task, TaskId

INSTALL = TaskId("dependencies", "install")
# Where to fetch from and how to get there; the lock file decides what is fetched.
_CONNECTION_VARIABLES = frozenset(
    "HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy "
    "NPM_CONFIG_REGISTRY npm_config_registry YARN_NPM_REGISTRY_SERVER".split()
)
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS")
_REFUSED = re.compile(
    r"E40[134]\b|FETCH_40[134]\b|ENEEDAUTH|\b40[134] (?:Unauthorized|Forbidden|Not Found)|YN0041"
)
_USER_FILE = ".npmrc"


class RegistryFileError(BuildNetError):
    """The file of registry settings that the node's owner named can't be read."""

    code = "REGISTRY_FILE"
    exit_code = 2


@dataclass(slots=True)
class InstalledDependencies:
    """The dependency tree of one build; see the module's text.

    ``isolation`` is what the host gives; ``downloads`` holds the package managers' own caches;
    ``taken_in`` what of workspaces' own trees is in the store.
    """

    install_spec: Install
    root: Path
    reader: Sources
    toolchain: Toolchain
    trees: UnpackedTrees
    isolation: Isolation
    inherited: Mapping[str, str]
    downloads: Downloads
    workspace_id: str
    settings: InstallSettings
    taken_in: TakenIn
    installing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the workspace's packages are looked for and installed: two installs never use one
    cache at once."""
    _action: Action | None = field(default=None)
    _made: Mapping[Digest, bytes] = field(default_factory=dict)
    _mounts: tuple[Mount, ...] = field(default=())
    _tree: DirectoryTree | None = field(default=None)
    _shared: Digest | None = field(default=None)

    @property
    def key(self) -> str:
        """What of the dependencies is part of the key of who uses them."""
        return self._known_action().digest.hash

    def mounts(self) -> tuple[Mount, ...]:
        """Where the tree lies; known once :meth:`prepare` found it or :meth:`unpack` made it."""
        return self._mounts

    def task(self) -> Task:
        """Return the install action as a task of the build's graph."""
        return Task(
            package=INSTALL.package,
            name=INSTALL.task,
            command=self.install_spec.command,
            path="",
            sources=self.install_spec.inputs,
            default_sources=False,
            outputs=self._outputs(),
            network=True,
        )

    def prepare(self, hold: Hold) -> Prepared:
        """Find the tree: in the workspace, unpacked, or in the cache; else it must be installed."""
        action = self._known_action()
        prepared = Prepared(self.task(), action, self._environment())
        spec = self.install_spec
        if installed_matches(spec.manager, self.root, spec.lock_file, spec.roots):
            changed = changed_by_hand(self.root, spec.roots)
            if changed is None:
                self._mounts = self._mounts_in(self.root)
                return replace(prepared, tier=Tier.INSTANT_SKIP)
            reason = f"{changed} was changed after it was installed: a tree of its own is used"
            prepared = replace(prepared, reasons=(reason,))
        record = hold.get_action(action.digest, frozenset({action.spec.platform["isolation"]}))
        found = decode_record(record, "", hold) if record is not None else None
        if found is None:
            for data in self._made.values():
                hold.put(data)
            return prepared
        self.unpack(found.outputs, hold)
        return replace(prepared, tier=Tier.LOCAL_CACHE)

    def unpack(self, outputs: DirectoryTree, hold: Hold) -> None:
        """Make the tree ready for use."""
        self._tree = outputs
        self._mounts = self._mounts_in(
            self.trees.ensure(self._known_action().digest, outputs, hold, owner=self._owner)
        )

    def share(self, hold: Hold) -> Digest:
        """Return the address of the tree as one ``Tree`` message, which lies in the store with all
        files that it names: what other hosts fetch. Known mounts only; blocks, and not for two
        threads at once."""
        if self._shared is None:
            tree = self._tree
            if tree is None:
                tree = self.taken_in.tree(self.key, self.root, self.install_spec.roots, hold)
            hold.add(tree.files())
            self._shared = hold.put(tree.tree_message().SerializeToString(deterministic=True))
        return self._shared

    def request(
        self, timeout_s: float, output_limit_bytes: int, limits: ActionLimits
    ) -> ExecutionRequest:
        """Return how the package manager is to be run.

        Raises:
            RegistryFileError: the owner's file of registry settings can't be read.
        """
        action = self._known_action()
        return ExecutionRequest(
            action=action.digest,
            command=self.install_spec.command,
            working_directory="",
            environment=self._environment(),
            home=self._home(),
            shown=self._certificates() if self._is_strict else {},
            cache=self._cache(),
            inputs=action.spec.inputs,
            mounts=(),
            outputs=self._outputs(),
            timeout_s=timeout_s,
            network=True,
            output_limit_bytes=output_limit_bytes,
            limits=limits,
            workspace=self.root,
            on_collected=self._adopt,
        )

    def _adopt(self, stage: Path) -> None:
        """Move the fresh ``node_modules`` out of its stage: cheaper than to unpack it again."""
        paths = [f"{root}/node_modules".lstrip("/") for root in self.install_spec.roots]
        self.trees.adopt(self._known_action().digest, stage, paths, owner=self._owner)

    def hints(self, said: str) -> tuple[str, ...]:
        """Return what to do about an install that failed with this output."""
        if not _REFUSED.search(said):
            return ()
        return (
            "if these packages are private: installs do not see your ~/.npmrc and tokens; the "
            "node's owner names a file (install.npmrc) or variables (install.env) in node.yaml",
        )

    @property
    def _is_strict(self) -> bool:
        return self.isolation.level == STRICT

    @property
    def _owner(self) -> int | None:
        return self.isolation.launcher.owner if self.isolation.launcher is not None else None

    def _known_action(self) -> Action:
        if self._action is None:
            inputs = self.reader.tree(self.install_spec.inputs).tree
            if not self.install_spec.own_scripts:
                inputs, self._made = install_inputs(self.root, inputs)
            tools = [self.toolchain.tool(name) for name in self._tools()]
            platform = {**platform_properties(), "isolation": self.isolation.level}
            platform.update({f"tool:{tool.name}": tool.identity for tool in tools})
            platform["network"] = "allowed"
            self._action = encode_action(
                ActionSpec(self.install_spec.command, "", {}, self._outputs(), platform, inputs)
            )
        return self._action

    def _tools(self) -> tuple[str, ...]:
        return ("node", self.install_spec.manager)

    def _outputs(self) -> tuple[str, ...]:
        return tuple(f"{root}/node_modules/**".lstrip("/") for root in self.install_spec.roots)

    def _environment(self) -> dict[str, str]:
        tools = [self.toolchain.tool(name) for name in self._tools()]
        passed_on = _CONNECTION_VARIABLES.union(self.settings.env)
        return {
            **{name: value for name, value in self.inherited.items() if name in passed_on},
            **self._certificate_variables(),
            "PATH": self.toolchain.search_path(tools),
            "LANG": "C.UTF-8",
            "CI": "true",  # no questions, no spinner
            **self._download_cache(CACHE if self._is_strict else str(self._cache())),
        }

    def _certificates(self) -> dict[str, Path]:
        """Return the files and directories that variables name, by their names in ``strict``."""
        return {
            f"{name}-{number}": Path(path)
            for name in _CERTIFICATES
            for number, path in enumerate(self.inherited.get(name, "").split(os.pathsep))
            if os.path.isabs(path) and os.path.exists(path)
        }

    def _certificate_variables(self) -> dict[str, str]:
        values: dict[str, list[str]] = {}
        for key, path in self._certificates().items():
            place = f"{SETTINGS}/{key}" if self._is_strict else str(path)
            values.setdefault(key.rpartition("-")[0], []).append(place)
        return {name: os.pathsep.join(places) for name, places in values.items()}

    def _home(self) -> dict[str, bytes]:
        """Return the settings that the node's owner gives to installs."""
        file = self.settings.npmrc
        if file is None:
            return {}
        try:
            return {_USER_FILE: file.read_bytes()}
        except OSError as error:
            raise RegistryFileError(
                f"the registry settings in {file} can't be read",
                cause=error.strerror,
                hint="correct install.npmrc in node.yaml",
            ) from error

    def _cache(self) -> Path:
        manager = self.install_spec.manager
        return self.downloads.cache(self.isolation.level, manager, self.workspace_id)

    def _download_cache(self, place: str) -> dict[str, str]:
        match self.install_spec.manager:
            case "npm":
                return {"NPM_CONFIG_CACHE": place}
            case "yarn":
                # Yarn 2 and later: without node_modules there is nothing that could be mounted.
                return {
                    "YARN_CACHE_FOLDER": place,
                    "YARN_GLOBAL_FOLDER": f"{place}/global",
                    "YARN_NODE_LINKER": "node-modules",
                    "YARN_ENABLE_TELEMETRY": "0",
                }
        # pnpm 11 reads variables of its own name only; npm would warn of these. The starters of
        # commands must not hold the path of the stage in which they were made. A hard link would
        # let what alters the store alter the tree, and the other way round.
        settings = {
            "store_dir": f"{place}/store",
            "cache_dir": f"{place}/metadata",
            "extend_node_path": "false",
            "package_import_method": "clone-or-copy",
        }
        return {
            f"{prefix}_config_{name}": value
            for prefix in ("npm", "pnpm")
            for name, value in settings.items()
        }

    def _mounts_in(self, base: Path) -> tuple[Mount, ...]:
        paths = [f"{root}/node_modules".lstrip("/") for root in self.install_spec.roots]
        return tuple(Mount(path, base / path) for path in paths if (base / path).is_dir())
