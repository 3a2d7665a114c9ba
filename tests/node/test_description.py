"""The API's description says of each answer what it is."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute

from buildnet.cli.reference import described_api
from buildnet.node.api.declared import declared_router, does
from buildnet.node.api.description import description, operations
from buildnet.node.auth.actions import Action
from buildnet.pool.resources import Gpu
from testbed.described import JSON, problem_of_answer

OPERATIONS = {f"{method} {path}": one for path, method, one in operations(described_api())}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_route_says_what_it_answers(operation: str) -> None:
    answers = OPERATIONS[operation]["responses"]
    contents = [one.get("content", {}) for status, one in answers.items() if status.startswith("2")]
    assert any(contents), "no answer is described: @does(…, answer=…)"
    for schema in [content[JSON]["schema"] for content in contents if JSON in content]:
        assert set(schema) & {"$ref", "anyOf", "type"}, "its JSON has no type: @does(…, answer=…)"
        assert schema.get("type") != "object", "its fields are not described: @does(…, answer=…)"


def test_what_can_not_be_repeated_takes_no_idempotency_key() -> None:
    takes = {
        name
        for name, one in OPERATIONS.items()
        if "Idempotency-Key" in {each["name"] for each in one.get("parameters", ())}
    }
    assert "POST /api/build" in takes
    assert "POST /api/watch" not in takes
    assert not any(name.startswith("x-buildnet-goes") for name in OPERATIONS["POST /api/watch"])


def test_more_fields_may_come() -> None:
    schemas = described_api()["components"]["schemas"]
    bodies = {
        one["requestBody"]["content"][JSON]["schema"].get("$ref", "").rpartition("/")[2]
        for one in OPERATIONS.values()
        if "requestBody" in one
    }
    strict = {name for name, one in schemas.items() if one.get("additionalProperties") is False}
    assert strict <= bodies


def test_what_is_strict_where_it_is_read_is_open_where_it_is_answered() -> None:
    router = declared_router()

    @router.get("/both")
    @does(Action.OPEN, answer=Gpu)
    async def both() -> dict[str, Any]:
        return {}

    assert Gpu.model_json_schema()["additionalProperties"] is False
    described = description("x", "1", [one for one in router.routes if isinstance(one, APIRoute)])
    assert "additionalProperties" not in described["components"]["schemas"]["Gpu"]
    content = described["paths"]["/both"]["get"]["responses"]["200"]["content"]
    assert content[JSON]["schema"] == {"$ref": "#/components/schemas/Gpu"}


def test_an_answer_that_is_not_as_described_is_told() -> None:
    gone = {"removed": 1}
    assert problem_of_answer("DELETE", "/api/dead-letters", 200, gone) is None
    wrong = {"/removed": {"removed": "x"}, "required": {}, "more": {**gone, "more": 1}}
    for words, answer in wrong.items():
        assert words in str(problem_of_answer("DELETE", "/api/dead-letters", 200, answer))
    assert "not described" in str(problem_of_answer("GET", "/api/none", 200, {}))
