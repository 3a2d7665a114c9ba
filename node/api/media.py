"""What kinds of content a route answers with, for the API's description."""

from __future__ import annotations

from typing import Any


def answers_as(*kinds: str, description: str = "Successful Response") -> dict[int | str, Any]:
    """Return what a route says of its answers: text, or JSON, whose form it declares besides."""
    schemas: dict[str, Any] = {kind: {"schema": {"type": "string"}} for kind in kinds}
    if "application/json" in schemas:
        schemas["application/json"] = {}
    return {200: {"description": description, "content": schemas}}
