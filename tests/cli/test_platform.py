"""Where BuildNet does not run, it says what does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from buildnet.cli.platform import PlatformError, require_supported_platform

# Windows has no fcntl: any import of it before the check ends the program with a traceback.
_AS_ON_WINDOWS = """
import sys
sys.modules["fcntl"] = None
sys.platform = "win32"
from buildnet.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("arguments", [["build"], ["node", "start"], ["--help"]])
def test_windows_is_told_of_wsl(arguments: list[str]) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", _AS_ON_WINDOWS, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2, answer.stderr
    assert "error[PLATFORM]" in answer.stderr
    assert "WSL" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_linux_and_macos_are_fine() -> None:
    require_supported_platform("linux")
    require_supported_platform("darwin")
    with pytest.raises(PlatformError):
        require_supported_platform("win32")
