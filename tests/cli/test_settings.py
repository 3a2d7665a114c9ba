"""General options, wherever they stand."""

from __future__ import annotations

import pytest

from buildnet import __version__
from buildnet.cli.building import BuildOptions, fast_options
from buildnet.cli.main import main
from buildnet.cli.output import age_text, bytes_text, duration_text
from buildnet.cli.settings import Settings, split_arguments
from buildnet.mesh.errors import UsageError


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "pool", "status"],
        ["pool", "--json", "status"],
        ["pool", "status", "--json"],
        ["pool", "status", "--format", "json"],
        ["--format=json", "pool", "status"],
    ],
)
def test_general_options_are_accepted_anywhere(arguments: list[str]) -> None:
    settings, left = split_arguments(arguments, {})
    assert settings.format == "json"
    assert left == ["pool", "status"]


def test_nothing_after_two_dashes_is_an_option() -> None:
    settings, left = split_arguments(["build", "--", "--json"], {})
    assert settings == Settings()
    assert left == ["build", "--", "--json"]


def test_options_win_over_the_environment() -> None:
    environment = {"BUILDNET_NODE": "http://a", "BUILDNET_FORMAT": "yaml"}
    assert split_arguments([], environment)[0].node == "http://a"
    settings, _ = split_arguments(["--node", "http://b", "--json"], environment)
    assert (settings.node, settings.format) == ("http://b", "json")


@pytest.mark.parametrize("arguments", [["--format"], ["--format", "xml"], ["--color=blue"]])
def test_unknown_values_are_refused(arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        split_arguments(arguments, {})


def test_colours_follow_option_environment_and_terminal() -> None:
    assert Settings().colored(True, {})
    assert not Settings().colored(False, {})
    assert not Settings().colored(True, {"NO_COLOR": "1"})
    assert Settings().colored(False, {"FORCE_COLOR": "1"})
    assert not Settings(color="never").colored(True, {"FORCE_COLOR": "1"})


def test_plain_build_arguments_need_no_parser() -> None:
    options = fast_options(["core", "--force", "app"])
    assert options is not None
    assert options.packages == ("core", "app")
    assert options.force
    assert not BuildOptions().force
    assert fast_options(["--task", "test"]) is None


def test_figures_for_people() -> None:
    assert bytes_text(512) == "512 B"
    assert bytes_text(3 * 1024**3) == "3.0 GiB"
    assert bytes_text(None) == "unknown"
    assert duration_text(12.3) == "12 ms"
    assert duration_text(61_000) == "1 min 1 s"
    assert age_text(0.5) == "just now"
    assert age_text(59.4) == "59 s ago"
    assert age_text(7300) == "2 h ago"


@pytest.mark.parametrize("arguments", [[], ["node"], ["pool"], ["cache"]])
def test_a_noun_alone_shows_its_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "Commands:" in capsys.readouterr().out


def test_the_version_can_be_asked_for_in_both_ways(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == main(["version"]) == 0
    assert capsys.readouterr().out.split() == [__version__, __version__]


def test_an_export_has_forms_of_its_own() -> None:
    settings, left = split_arguments(["audit", "export", "--format", "csv", "--quiet"], {})
    assert left == ["audit", "export", "--format", "csv"]
    assert (settings.format, settings.quiet) == ("table", True)
    settings, left = split_arguments(["audit", "query", "--format", "yaml"], {})
    assert (settings.format, left) == ("yaml", ["audit", "query"])
