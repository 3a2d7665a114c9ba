"""``buildnet init --from turbo``: the workspace that package.json files and turbo.json describe.

What is what is detected as without turbo.json; it adds the tasks, what they need, read and write.
"""

from __future__ import annotations

from pathlib import Path

from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.detect.build_script import build_script
from buildnet.pool.detect.detection import detect_workspace
from buildnet.pool.detect.members import read_members
from buildnet.pool.importing.foreign import Foreign
from buildnet.pool.importing.imported import Findings, Imported
from buildnet.pool.importing.takeover import TakeOver
from buildnet.pool.importing.turbo_file import ROOT, TURBO_FILE, TurboFile, read_turbo
from buildnet.pool.workspace import BUILD, Workspace, WorkspaceError


def import_turbo(root: Path) -> Imported:
    """Return the workspace at ``root`` as its turbo.json has it.

    Raises:
        WorkspaceError: no turbo.json, no workspace around it, or one of the files is wrong.
        CycleError: packages that need each other.
    """
    root = root.resolve()
    members = read_members(root)
    paths = {} if members is None else {one.name or one.path: one.path for one in members.members}
    file = read_turbo(root, paths)
    if members is None or file is None:
        missing = TURBO_FILE if file is None else "package.json"
        raise WorkspaceError(
            f"{root} has no {missing}", hint="run it at the root of the workspace that turbo builds"
        )
    names = (said.text.rpartition("#")[2] for said in file.names() if not _is_roots(said.text))
    scripts = tuple(dict.fromkeys(names))
    workspace = detect_workspace(root, scripts, to_import=True)
    if workspace is None:
        raise WorkspaceError(
            f"{root} has packages neither in package.json nor in pnpm-workspace.yaml",
            hint="run it at the root of the workspace that turbo builds",
        )
    findings = Findings()
    for problem in file.unknown():
        findings.tell(problem)
    _tell_names(file, workspace, findings)
    build = build_script(members.root.scripts, members.members)
    if build != BUILD and BUILD in scripts:
        scripts = tuple(one for one in scripts if one != BUILD)
        for said in file.names():
            if said.text.rpartition("#")[2] == BUILD:
                message = f"{said.text} is left out: packages are built by {build}"
                findings.tell(said.problem(message, "write it as a task of another name"))
    foreign = Foreign(
        tool="turbo",
        file=TURBO_FILE,
        files=tuple(dict.fromkeys((TURBO_FILE, *(one.where for one in file.packages.values())))),
        tasks={
            one.name: {
                BUILD if script == build else script: found
                for script in scripts
                if (found := file.task(one.name, one.path, script)) is not None
            }
            for one in workspace.packages.values()
        },
        build=build,
        env=(*file.listed("globalEnv"), *file.listed("globalPassThroughEnv")),
        sources=(*file.listed("globalDependencies"), *file.listed("globalDotEnv")),
    )
    return TakeOver(workspace, foreign, findings).result()


def _is_roots(name: str) -> bool:
    return name.startswith(f"{ROOT}#")


def _tell_names(file: TurboFile, workspace: Workspace, findings: Findings) -> None:
    for said in file.names():
        package, separator, script = said.text.rpartition("#")
        if _is_roots(said.text):
            findings.tell(
                said.problem(
                    f"{said.text} is a task of the root, which is no package",
                    f"add a package with path: . and a task {script}",
                )
            )
        elif separator and package not in workspace.packages:
            hint = did_you_mean(package, workspace.packages)
            message = f"{said.text}: there is no package {package!r}"
            findings.tell(said.problem(message, hint or "remove it from turbo.json"))
