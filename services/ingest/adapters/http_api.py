"""The registry API over HTTP: who may call, what a body must look like, what is answered.

Law: 202 only once the event is durable; a broker that is away is 503 with Retry-After and nothing half done; errors are
problem details (RFC 9457) that name fields and never repeat what was sent; 401 and 403 say nothing more.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, assert_never
from zoneinfo import ZoneInfo

import structlog
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.ingest.adapters.registry_bodies import (
    AdverseEventBody,
    BaselineBody,
    Body,
    ConfounderBody,
    CycleBody,
    PatientBody,
    Statement,
)
from services.ingest.adapters.tokens import Grant
from services.ingest.metrics import IngestMetrics

REGISTRY_WRITERS = frozenset({"coordinator", "integration"})
BASELINE_WRITERS = frozenset({"coordinator", "mdt"})
BODY_SECONDS = 30.0
RETRY_AFTER_SECONDS = 5
MAX_NAME_CHARACTERS = 100
MAX_CYCLE = 999

log = structlog.get_logger("http")


@dataclass(frozen=True, slots=True)
class Recorded:
    """The event is durable."""

    event_id: str


@dataclass(frozen=True, slots=True)
class NotNow:
    """Not known to be stored; the client should try again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Impossible:
    """It will never be stored like this; `field` and `message` say why."""

    field: str
    message: str


Answer = Recorded | NotNow | Impossible


class Registry(Protocol):
    """What stands behind the API."""

    async def record(self, statement: Statement) -> Answer:
        """Make the statement durable."""

    def fault(self) -> str | None:
        """Tell why nothing can be stored at present."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API: its path, what its body must be, who may make it."""

    path: str
    body: type[Body]
    writers: frozenset[str]
    name: str | None = None


CALLS = (
    Call("/v1/patients/{mrn}", PatientBody, REGISTRY_WRITERS),
    Call("/v1/patients/{mrn}/cycles/{n}", CycleBody, REGISTRY_WRITERS, "n"),
    Call("/v1/patients/{mrn}/adverse-events/{id}", AdverseEventBody, REGISTRY_WRITERS, "id"),
    Call("/v1/patients/{mrn}/confounders/{id}", ConfounderBody, REGISTRY_WRITERS, "id"),
    Call("/v1/patients/{mrn}/baselines/{analyte}", BaselineBody, BASELINE_WRITERS, "analyte"),
)


class Problem(Exception):
    """An answer that is not 202."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or status.phrase)
        self.status, self.detail, self.errors, self.headers = status, detail, tuple(errors), dict(headers or {})

    def response(self) -> Response:
        """Return the problem details."""
        content: dict[str, Any] = {"type": "about:blank", "title": self.status.phrase, "status": int(self.status)}
        if self.detail:
            content["detail"] = self.detail
        if self.errors:
            content["errors"] = list(self.errors)
        return JSONResponse(content, self.status, self.headers, media_type="application/problem+json")


class RegistryApi:
    """`grant_of` returns what a bearer token grants, or None."""

    def __init__(
        self,
        registry: Registry,
        grant_of: Callable[[str], Grant | None],
        *,
        zone: ZoneInfo,
        max_body_bytes: int,
        metrics: IngestMetrics,
    ) -> None:
        self._registry, self._grant_of = registry, grant_of
        self._zone, self._max_body_bytes, self._metrics = zone, max_body_bytes, metrics

    def build(self) -> Starlette:
        """Return the ASGI application."""
        routes = [Route(call.path, self._endpoint(call), methods=["PUT"]) for call in CALLS]
        app = Starlette(routes=routes, exception_handlers={HTTPException: self._on_http_exception})
        app.router.redirect_slashes = False  # an address with a record number in it is not sent back
        return app

    def _endpoint(self, call: Call) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                response: Response = JSONResponse(await self._put(call, request), HTTPStatus.ACCEPTED)
            except Problem as problem:
                response = problem.response()
            except Exception as problem:  # noqa: BLE001 - the server would log its text, which may quote what was sent
                response = self._crashed(request, problem)
            self._metrics.http_requests.labels(call.path, str(response.status_code)).inc()
            return response

        return endpoint

    async def _put(self, call: Call, request: Request) -> dict[str, str]:
        grant = self._authorised(request, call.writers)
        named = {key: _name(key, text) for key, text in request.path_params.items()}
        content = await self._content(request)
        body = self._parse(call.body, content)
        statement = Statement(
            grant=grant,
            mrn=str(named["mrn"]),
            name=named[call.name] if call.name else "",
            body=body,
            content=content,
            peer=request.client.host if request.client else None,
        )
        match await self._registry.record(statement):
            case Recorded(event_id):
                return {"event_id": event_id}
            case NotNow():
                raise Problem(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "The message could not be stored. Send it again.",
                    headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
                )
            case Impossible(field, message):
                raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, errors=[{"field": field, "message": message}])
            case answer:
                assert_never(answer)

    def _authorised(self, request: Request, writers: frozenset[str]) -> Grant:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        grant = self._grant_of(token.strip()) if scheme.lower() == "bearer" else None
        if grant is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
        if not grant.roles & writers:
            raise Problem(HTTPStatus.FORBIDDEN)
        return grant

    async def _content(self, request: Request) -> bytes:
        media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if media_type != "application/json" or request.headers.get("content-encoding", "identity") != "identity":
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json, not compressed.")
        declared = request.headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > self._max_body_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._read(request)
        except TimeoutError:
            raise Problem(HTTPStatus.REQUEST_TIMEOUT) from None
        except ClientDisconnect:
            raise Problem(HTTPStatus.BAD_REQUEST, "The connection ended before the body did.") from None

    async def _read(self, request: Request) -> bytes:
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > self._max_body_bytes:
                raise self._too_large()
        return bytes(content)

    def _too_large(self) -> Problem:
        return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {self._max_body_bytes} bytes are taken.")

    def _parse(self, kind: type[Body], content: bytes) -> Body:
        text = content.removeprefix(b"\xef\xbb\xbf")
        try:
            body = kind.model_validate_json(text, context={"zone": self._zone})
        except ValidationError as problem:
            found = problem.errors(include_input=False, include_url=False, include_context=False)
            if any(error["type"] == "json_invalid" for error in found):
                raise Problem(HTTPStatus.BAD_REQUEST, "The body is not valid JSON in UTF-8.") from None
            errors = [{"field": ".".join(map(str, error["loc"])), "message": _plainly(error["msg"])} for error in found]
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The body is not what it must be.", errors=errors) from None
        json.loads(text, object_pairs_hook=_once)
        return body

    async def _on_http_exception(self, _: Request, problem: Exception) -> Response:
        assert isinstance(problem, HTTPException)
        self._metrics.http_requests.labels("other", str(problem.status_code)).inc()
        return Problem(HTTPStatus(problem.status_code), headers=problem.headers).response()

    def _crashed(self, request: Request, problem: Exception) -> Response:
        log.error("request failed", problem=type(problem).__name__, method=request.method)
        return Problem(HTTPStatus.INTERNAL_SERVER_ERROR).response()


def _name(key: str, text: str) -> int | str:
    """Return a part of the path as it is meant. Raises Problem."""
    if key == "n":
        if re.fullmatch(r"0*[1-9][0-9]{0,2}", text):
            return int(text)
        message = f"must be a number from 1 to {MAX_CYCLE}"
    elif text.strip() and text.isprintable() and "\ufffd" not in text and len(text) <= MAX_NAME_CHARACTERS:
        return text.strip()
    else:
        message = f"must be 1 to {MAX_NAME_CHARACTERS} printable characters"
    raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, errors=[{"field": key, "message": message}])


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a name that stands twice: which of its values is meant nobody can tell."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise Problem(HTTPStatus.BAD_REQUEST, "A name stands twice in the body.")
    return members


def _plainly(message: str) -> str:
    return message.removeprefix("Value error, ")
