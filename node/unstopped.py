"""What is done again and again: a bug in one part stops neither the others nor the next time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")


class Unstopped:
    """See the module's text. The same error of the same part is logged once."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._logged: set[tuple[object, type[Exception]]] = set()

    def do(self, part: Callable[P, object], *arguments: P.args, **named: P.kwargs) -> None:
        """Do one part, which may fail."""
        try:
            part(*arguments, **named)
        except Exception as error:
            if (part, type(error)) not in self._logged:
                self._logged.add((part, type(error)))
                self._log.exception("a bug in what is done regularly; it goes on")
