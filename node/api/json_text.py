"""What Python reads as JSON and nobody else does: half a character (a lone surrogate), which no
answer, file or database can hold, and numbers that are none."""

from __future__ import annotations

import json
import re
from typing import NoReturn

from buildnet.mesh.errors import BuildNetError

_SUSPECT = re.compile(rb"\\u[dD][89a-fA-F]|NaN|Infinity")


class NoJsonError(BuildNetError):
    """A body that RFC 8259 does not call JSON, or of which half a character is missing."""

    code = "INVALID_REQUEST"
    exit_code = 2
    http_status = 400


def require_json(body: bytes) -> None:
    """See that a body is JSON as others know it; whether it is JSON at all is seen later.

    Raises:
        NoJsonError: it is not.
    """
    if not _SUSPECT.search(body):
        return
    try:
        read = json.loads(body, parse_constant=_refuse)
        json.dumps(read, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NoJsonError("a text in the request holds half a character (a surrogate)") from None
    except (ValueError, RecursionError):
        return


def _refuse(constant: str) -> NoReturn:
    raise NoJsonError(f"{constant} is no number of JSON")
