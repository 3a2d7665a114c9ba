"""Errors as RFC 9457 problem details, with BuildNet's code, cause and hint beside them."""

from __future__ import annotations

import logging
import math
import secrets
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from buildnet.mesh.errors import BuildNetError
from buildnet.node.api.discretion import discreet, is_told_all
from buildnet.node.auth.refusal import TooManyRequestsError
from buildnet.pool.wording import fault

_log = logging.getLogger("buildnet.api")


def problem_response(
    *,
    status: int,
    code: str,
    message: str,
    cause: str | None = None,
    hint: str | None = None,
    exit_code: int = 1,
) -> JSONResponse:
    """Return a problem document; ``exit_code`` is what the command line ends with."""
    return JSONResponse(
        {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": message,
            "code": code,
            "cause": cause,
            "hint": hint,
            "exit_code": exit_code,
        },
        status_code=status,
        media_type="application/problem+json",
    )


def problem_of(error: BuildNetError) -> JSONResponse:
    """Return the problem document of an error; a 401 names how to authenticate (RFC 6750)."""
    answer = problem_response(
        status=error.http_status,
        code=error.code,
        message=error.message,
        cause=error.cause,
        hint=error.hint,
        exit_code=error.exit_code,
    )
    if error.http_status == HTTPStatus.UNAUTHORIZED:
        answer.headers["www-authenticate"] = "Bearer"
    if isinstance(error, TooManyRequestsError):
        answer.headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    return answer


def add_problem_handlers(application: FastAPI) -> None:
    """Answer every error of ``application`` as a problem document."""

    @application.exception_handler(BuildNetError)
    async def known(request: Request, error: BuildNetError) -> JSONResponse:
        return problem_of(discreet(request, error))

    @application.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first, *others = (
            fault(one, one["loc"][1:], "the request's body")  # the first: body, query or path
            for one in error.errors()
        )
        return problem_response(
            status=400,
            code="INVALID_REQUEST",
            message=first,
            cause="; ".join(others) or None,
            hint="see the API's description at /api/openapi.json",
            exit_code=2,
        )

    @application.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return problem_response(
            status=error.status_code,
            code="NOT_FOUND" if error.status_code == 404 else "HTTP",
            message=f"{request.method} {request.url.path}: {error.detail}",
            hint="see the API's description at /api/openapi.json",
            exit_code=6 if error.status_code == 404 else 2,
        )

    @application.exception_handler(ClientDisconnect)
    async def left(request: Request, error: ClientDisconnect) -> JSONResponse:
        # Nobody reads this, and it is no error of the node that its log should tell of.
        return problem_response(
            status=400, code="INVALID_REQUEST", message="the request broke off", exit_code=2
        )

    @application.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> JSONResponse:
        number = secrets.token_hex(4)
        _log.exception(
            "%s %s failed (%s)", request.method, request.url.path, number, exc_info=error
        )
        return problem_response(
            status=500,
            code="INTERNAL",
            message="the node met an error that it does not know",
            cause=f"{type(error).__name__}: {error}" if is_told_all(request) else None,
            hint=f"the node's log has the details under {number}; please report it",
        )
