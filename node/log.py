"""The node's log: lines for people on a terminal, JSON objects elsewhere or on request."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import sys
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

_FILE_BYTES = 10 * 1024 * 1024
_FILES_KEPT = 3
_STANDARD = frozenset(vars(logging.makeLogRecord({})))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and what else was logged."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry.update({name: value for name, value in vars(record).items() if name not in _STANDARD})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class HumanFormatter(logging.Formatter):
    """``12:34:56 warning  message``; the level only where it says something."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower():<8} "
        text = f"{self.formatTime(record, '%H:%M:%S')} {level}{record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


class _PrivateFile(RotatingFileHandler):
    """A rotated log that nobody else reads: a build's errors stand in it."""

    def _open(self) -> TextIOWrapper:
        os.close(os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return super()._open()


def configure_logging(*, level: str, form: str, file: Path | None) -> None:
    """Send the log to standard error, or to ``file`` (rotated at 10 MiB, three kept).

    What was configured before is replaced. ``form`` is ``human``, ``json`` or ``auto``: human on a
    terminal, JSON elsewhere.
    """
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        handler = _PrivateFile(
            file, maxBytes=_FILE_BYTES, backupCount=_FILES_KEPT, encoding="utf-8"
        )
    human = form == "human" or (form == "auto" and file is None and sys.stderr.isatty())
    handler.setFormatter(HumanFormatter() if human else JsonFormatter())
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [handler]
    for each in before:
        each.close()
    set_level(level)
    # uvicorn tells of every start and stop in its own words, where ours say the same once; and it
    # warns of every malformed request, so that anybody on the network could fill the disk.
    server = logging.getLogger("uvicorn.error")
    server.setLevel("ERROR")
    server.addFilter(_from_strangers)


def set_level(level: str) -> None:
    """Log what is as important as ``level``, or more, from now on."""
    logging.getLogger().setLevel(level.upper())


def log_crashes(file: Path | None) -> None:
    """Have the stacks of all threads written to the log if native code crashes this process."""
    if file is None:
        faulthandler.enable()
        return
    # A descriptor of its own that is never closed: the log's own is another one after a rotation.
    with file.open("ab") as opened:
        faulthandler.enable(os.dup(opened.fileno()))


def _from_strangers(record: logging.LogRecord) -> bool:
    """Drop the one error that uvicorn logs for bytes that anybody may send."""
    return not str(record.msg).startswith("Invalid UTF-8 sequence")
