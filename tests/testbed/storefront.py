"""A workspace as a small team has it: fourteen packages of a shop, some of them with tests.

Its commands are of the standard library alone: they print what a compiler prints, take as long as
the package's ``pace`` says, and make files; the tests write JUnit XML.
"""

from __future__ import annotations

from pathlib import Path

from buildnet.cli.testing import write_files

PACKAGES: dict[str, tuple[str, str]] = {
    "money": ("libs", ""),
    "schema": ("libs", ""),
    "logging": ("libs", ""),
    "ui-kit": ("libs", "money"),
    "api-client": ("libs", "schema"),
    "catalog": ("services", "schema, logging"),
    "cart": ("services", "schema, money, logging"),
    "payments": ("services", "money, logging"),
    "mailer": ("services", "schema, logging"),
    "search": ("services", "catalog"),
    "storefront": ("apps", "ui-kit, api-client, cart, search"),
    "admin": ("apps", "ui-kit, api-client, payments, mailer"),
    "handbook": ("apps", "schema"),
    "release": ("apps", "storefront, admin, handbook"),
}
"""The directory of each package, and what it needs."""

_PACE_S = {"money": 1.2, "schema": 2.0, "logging": 0.8, "search": 3.0, "storefront": 4.0}
_PACE_ELSE_S = 1.6
_SOURCES = ("index", "model", "routes", "format", "store")

_COMPILE = r"""
import pathlib, re, sys, time
bold, red, green, yellow, cyan, dim, off = (f"\033[{n}m" for n in (1, 31, 32, 33, 36, 2, 0))
name = pathlib.Path.cwd().name
pace = float(pathlib.Path("pace").read_text())
sources = sorted(pathlib.Path("src").glob("*.ts"))
print(f"{bold}{name}{off} {dim}· {len(sources)} modules{off}", flush=True)
out = pathlib.Path("dist")
out.mkdir(exist_ok=True)
wrong = 0
for number, source in enumerate(sources, 1):
    time.sleep(pace / len(sources))
    text = source.read_text()
    print(f"{cyan}[{number}/{len(sources)}]{off} compile {source}", flush=True)
    if "legacy" in text:
        print(f"{yellow}warning{off} {source}:12:3 'legacy' is deprecated, use 'current'")
    for found in re.finditer(r": (Money|Cents)Amount\b", text):
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start()) + 2
        said = text.splitlines()[line - 1]
        wrong += 1
        print(f"{source}:{line}:{column} - {red}{bold}error{off} TS2304: "
              f"Cannot find name '{found[1]}Amount'.\n")
        print(f"{dim}{line:>3}{off} {said}\n    {' ' * (column - 1)}{red}"
              + "~" * (len(found[1]) + 6) + f"{off}\n")
    (out / f"{source.stem}.js").write_text(text * 40)
if wrong:
    print(f"{red}Found {wrong} error{'s' if wrong > 1 else ''} in {name}.{off}", flush=True)
    sys.exit(2)
(out / "bundle.css").write_text(".price { font-variant-numeric: tabular-nums }\n" * 300)
size = sum(file.stat().st_size for file in out.iterdir()) / 1024
print(f"{green}✓{off} {len(sources)} modules, {size:.1f} KiB in {pace:.1f} s", flush=True)
"""

_TEST = r"""
import pathlib, sys, time
from xml.sax.saxutils import quoteattr
report, files = sys.argv[1], sys.argv[2:]
unsteady = pathlib.Path("unsteady").read_text().strip()
lines, failed = [], 0
for file in files:
    for number, name in enumerate(pathlib.Path(file).read_text().split(), 1):
        seconds = 0.04 * number
        time.sleep(seconds)
        broken = name == "keeps_order_of_lines" and not pathlib.Path(unsteady).exists()
        failed += broken
        sign = "\033[31m✗\033[0m" if broken else "\033[32m✓\033[0m"
        print(f"{sign} {file} › {name} \033[2m{seconds * 1000:.0f} ms\033[0m", flush=True)
        fault = '<failure message="expected apples, pears; got pears, apples"/>' if broken else ""
        lines.append(f'<testcase classname={quoteattr(pathlib.Path(file).stem)} name="{name}" '
                     f'time="{seconds:.2f}">{fault}</testcase>')
if failed:
    pathlib.Path(unsteady).touch()
pathlib.Path(report).write_text("<testsuite>" + "".join(lines) + "</testsuite>")
sys.exit(1 if failed else 0)
"""

_CASES = {
    "cart": {
        "test_totals": "adds_up takes_taxes_of_the_country refuses_negative_amounts",
        "test_lines": "adds_a_line removes_a_line keeps_order_of_lines merges_equal_lines",
        "test_vouchers": "takes_percent takes_amount expires_at_midnight is_used_once",
    },
    "money": {
        "test_rounding": "rounds_half_even keeps_the_currency",
        "test_format": "writes_euros writes_yen reads_what_it_wrote",
    },
    "search": {
        "test_ranking": "exact_words_first what_sells_first",
        "test_spelling": "finds_umlauts finds_one_wrong_letter",
    },
}
"""The tests of each package, by file."""


class Storefront:
    """The workspace at ``root``.

    One of the cart's tests fails as long as there is no file ``unsteady``, and makes it.
    """

    def __init__(self, root: Path, unsteady: Path) -> None:
        self.root = root
        files = {"buildnet.yaml": _definition(), ".gitignore": "dist/\nreport-*.xml\n"}
        for name in PACKAGES:
            path = path_of(name)
            files |= {f"{path}/src/{each}.ts": _source(name, each) for each in _SOURCES}
            files[f"{path}/compile.py"] = _COMPILE
            files[f"{path}/pace"] = str(_PACE_S.get(name, _PACE_ELSE_S))
            if name in _CASES:
                files[f"{path}/run_tests.py"] = _TEST
                files[f"{path}/unsteady"] = str(unsteady)
                tests = _CASES[name].items()
                files |= {f"{path}/tests/{each}.txt": said for each, said in tests}
        write_files(root, files)

    def edit(self, *names: str, text: str = "// a remark\n") -> None:
        """Change a source of each package."""
        for name in names:
            source = self.root / path_of(name) / "src/model.ts"
            source.write_text(source.read_text() + text)

    def set_pace(self, seconds: float, *names: str) -> None:
        """Let the packages take so long from now on."""
        for name in names:
            (self.root / path_of(name) / "pace").write_text(str(seconds))

    def break_types(self, name: str) -> None:
        """Have a package not compile any more."""
        text = "\nexport function refund(order: Order, sum: MoneyAmount) {\n"
        (self.root / path_of(name) / "src/refund.ts").write_text(
            f"import type {{ Order }} from './model';\n{text}  return order.pay(-sum);\n}}\n"
        )

    def mend_types(self, name: str) -> None:
        """Have it compile again."""
        source = self.root / path_of(name) / "src/refund.ts"
        source.write_text(source.read_text().replace("MoneyAmount", "Money"))


def path_of(name: str) -> str:
    """Return the path of a package in the workspace."""
    return f"{PACKAGES[name][0]}/{name}"


def _source(name: str, part: str) -> str:
    functions = (
        f"export function {part}{number}(order: Order) {{\n  return order.{part};\n}}\n"
        for number in range(1, 12)
    )
    return f"// {name}: {part}\nimport type {{ Order }} from './model';\n" + "\n".join(functions)


def _definition() -> str:
    lines = ["workspace: shop", "description: The shop, its services and its apps", "packages:"]
    for name, (_, needs) in PACKAGES.items():
        path = path_of(name)
        lines += [
            f"  - name: {name}",
            f"    path: {path}",
            "    build_cmd: python3 compile.py",
            f"    dependencies: [{needs}]",
            f"    sources: ['{path}/src/**', {path}/compile.py, {path}/pace]",
            f"    outputs: ['{path}/dist/**']",
        ]
        if name in _CASES:
            lines += [
                "    tasks:",
                "      test:",
                "        cmd: python3 run_tests.py report-{shard}.xml {tests}",
                "        depends_on: [build]",
                f"        sources: [{path}/run_tests.py, {path}/unsteady]",
                f"        tests: ['{path}/tests/*.txt']",
                f"        shards: {len(_CASES[name])}",
                f"        junit: '{path}/report-{{shard}}.xml'",
                "        isolation: staged",
                "        retries: 1",
            ]
    return "\n".join(lines) + "\n"
