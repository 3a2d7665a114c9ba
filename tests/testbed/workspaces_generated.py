"""One workspace for several build tools: the same packages, sources, commands and dependencies.

Packages form layers of ten; each depends on two of the layer before.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

COMMAND = "mkdir -p dist && cat src/*.js > dist/index.js"
"""What each package runs, in its own directory."""

LAYER = 10


@dataclass(frozen=True, slots=True)
class Generated:
    """How large: ``packages`` of ``files`` sources each. ``isolation`` is BuildNet's level; None:
    its own choice."""

    packages: int
    files: int
    isolation: str | None = None

    def dependencies(self, number: int) -> list[int]:
        """Return the numbers of the packages that a package depends on."""
        layer = number // LAYER
        if layer == 0:
            return []
        return [(layer - 1) * LAYER + (number + step) % LAYER for step in (0, 1)]

    def write(self, root: Path) -> None:
        """Write the sources and every tool's definition, as a git repository with one commit."""
        for number in range(self.packages):
            source = root / f"packages/p{number}/src"
            source.mkdir(parents=True)
            for index in range(self.files):
                text = f"// {number} {index}\n" + "x" * 400 + "\n"
                (source / f"f{index}.js").write_text(text)
        (root / ".gitignore").write_text("node_modules\ndist\n.turbo\n.nx\n.ninja_*\n")
        self._write_buildnet(root)
        self._write_npm(root)
        self._write_ninja(root)
        for arguments in (
            ("init", "-q"),
            ("add", "-A"),
            ("-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "-m", "all"),
        ):
            subprocess.run(["git", *arguments], cwd=root, check=True, stdin=subprocess.DEVNULL)

    def _write_buildnet(self, root: Path) -> None:
        lines = ["workspace: generated", "packages:"]
        for number in range(self.packages):
            below = ", ".join(f"p{each}" for each in self.dependencies(number))
            lines += [
                f"  - name: p{number}",
                f"    path: packages/p{number}",
                f"    build_cmd: {COMMAND}",
                f"    dependencies: [{below}]",
                f"    output_dir: packages/p{number}/dist",
            ]
            if self.isolation is not None:
                lines.append(f"    isolation: {self.isolation}")
        (root / "buildnet.yaml").write_text("\n".join(lines) + "\n")

    def _write_npm(self, root: Path) -> None:
        """The files of npm workspaces, which turbo and nx read, with a lock file."""
        locked: dict[str, object] = {"": {"name": "generated", "workspaces": ["packages/*"]}}
        for number in range(self.packages):
            manifest = {
                "name": f"p{number}",
                "version": "1.0.0",
                "dependencies": {f"p{each}": "1.0.0" for each in self.dependencies(number)},
            }
            locked[f"packages/p{number}"] = manifest
            locked[f"node_modules/p{number}"] = {"resolved": f"packages/p{number}", "link": True}
            _write_json(
                root / f"packages/p{number}/package.json",
                {**manifest, "scripts": {"build": COMMAND}},
            )
        _write_json(
            root / "package.json",
            {
                "name": "generated",
                "private": True,
                "workspaces": ["packages/*"],
                "packageManager": "npm@10.0.0",
            },
        )
        lock = {"name": "generated", "lockfileVersion": 3, "requires": True, "packages": locked}
        _write_json(root / "package-lock.json", lock)
        _write_json(
            root / "turbo.json",
            {"tasks": {"build": {"dependsOn": ["^build"], "outputs": ["dist/**"]}}},
        )
        build = {"cache": True, "dependsOn": ["^build"], "outputs": ["{projectRoot}/dist"]}
        _write_json(root / "nx.json", {"targetDefaults": {"build": build}})

    def _write_ninja(self, root: Path) -> None:
        lines = ["rule build", f"  command = cd packages/$package && {COMMAND}", ""]
        for number in range(self.packages):
            sources = " ".join(f"packages/p{number}/src/f{i}.js" for i in range(self.files))
            below = "".join(
                f" packages/p{each}/dist/index.js" for each in self.dependencies(number)
            )
            lines.append(
                f"build packages/p{number}/dist/index.js: build {sources} |{below or ' '}"
                f"\n  package = p{number}"
            )
        (root / "build.ninja").write_text("\n".join(lines) + "\n")


def _write_json(file: Path, data: object) -> None:
    file.write_text(json.dumps(data, indent=1) + "\n")
