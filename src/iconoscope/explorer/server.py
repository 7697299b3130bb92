"""The server: who is answered, what is sent with every answer, and how what goes wrong is said."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import iconoscope
from iconoscope.errors import DamagedRecordError, IconoscopeError, ImagesError, QuestionError, StoreError, UnitError
from iconoscope.explorer import (
    image_page,
    layer_page,
    live_optimization,
    live_recording,
    map_page,
    messages,
    network_page,
    patch_questions,
    pictures,
    unit_page,
)
from iconoscope.explorer.photographs import LARGEST
from iconoscope.explorer.security import AccessRules, security_headers, without_paths
from iconoscope.explorer.session import ReadOnlyError, Session
from iconoscope.explorer.worker import ReplacedError

__all__ = ["create_app"]

SITE = Path(__file__).with_name("site")
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_LOG = logging.getLogger("iconoscope.explorer")
_LONGEST = 2**20
"""Bytes of a question: the numbers of a hundred thousand chosen images."""

_UNKNOWN = (
    "Open the address that the explorer printed when it was started: it has a token in it, which is new every time."
)

_KINDS: dict[type[IconoscopeError], tuple[int, str]] = {
    ReplacedError: (409, "busy"),
    ReadOnlyError: (403, "refused"),
    UnitError: (404, "not found"),
    QuestionError: (400, "question"),
    ImagesError: (404, "not found"),
    DamagedRecordError: (500, "damaged"),
    StoreError: (404, "not found"),
    IconoscopeError: (500, "damaged"),
}
"""From errors to the status and the kind of a `Problem`; the first that fits counts."""

_ROUTERS = (
    network_page,
    layer_page,
    unit_page,
    image_page,
    pictures,
    patch_questions,
    map_page,
    live_optimization,
    live_recording,
)


def create_app(session: Session, rules: AccessRules) -> FastAPI:
    """Make the application that answers of a session, to those whom the rules admit."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        session.close()

    app = FastAPI(
        title="iconoscope",
        version=iconoscope.__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.session = session
    api = APIRouter(prefix="/api", responses={"4XX": {"model": messages.Problem}})
    for module in _ROUTERS:
        api.include_router(module.router)
    app.include_router(api)
    app.add_api_route("/{name:path}", _site_file, include_in_schema=False, response_class=Response)
    app.add_exception_handler(IconoscopeError, _explain)
    app.add_exception_handler(RequestValidationError, _explain_form)
    app.add_exception_handler(HTTPException, _explain_status)
    app.add_middleware(_Gate, rules=rules)
    return app


def _site_file(name: str) -> Response:
    """Give a file of the front end."""
    files = {path.name: path for path in SITE.glob("*") if path.suffix in _TYPES}
    path = files.get(name or "index.html")
    if path is None:
        raise HTTPException(404)
    return Response(path.read_bytes(), media_type=_TYPES[path.suffix])


def _problem(status: int, kind: str, message: str, hint: str = "") -> JSONResponse:
    return JSONResponse({"kind": kind, "message": message, "hint": hint}, status)


def _explain(request: Request, error: Exception) -> Response:
    assert isinstance(error, IconoscopeError)
    status, kind = next(answer for expected, answer in _KINDS.items() if isinstance(error, expected))
    folders = request.app.state.session.folders
    return _problem(status, kind, without_paths(error.message, folders), without_paths(error.hint, folders))


def _explain_form(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    parameter = ".".join(str(part) for part in first["loc"][1:])
    return _problem(
        400, "question", f"{parameter or 'The question'}: {first['msg']}.", "/api/openapi.json has what is asked."
    )


def _explain_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, "not found" if error.status_code == 404 else "question", str(error.detail))


class _Gate:
    """Lets those in whom the rules admit, bounds what they send, and puts the headers of safety on every answer."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":  # all else, as a web socket, is nothing that is answered here
                await self._app(scope, receive, send)
            return
        headers, path, rules = Headers(scope=scope), scope["path"], self._rules
        token = QueryParams(scope["query_string"].decode("latin-1")).get("token", "")
        introduced = path == "/" and bool(token) and rules.is_token(token)

        begun = False

        async def send_safely(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                answer_headers = MutableHeaders(scope=message)
                for name, value in security_headers().items():
                    answer_headers.setdefault(name, value)
                answer_headers.setdefault("cache-control", "no-store")
                if introduced:
                    answer_headers.append("set-cookie", rules.cookie_header())
            await send(message)

        limit = LARGEST + 1 if path == "/api/uploads" else _LONGEST
        length = headers.get("content-length", "0")
        refusal = rules.refusal(scope["method"], path, headers)
        if refusal:
            answer: ASGIApp = _problem(403, "refused", refusal, _UNKNOWN)
        elif not (introduced or rules.is_admitted(headers)):
            wants_page = not path.startswith("/api/")
            answer = (
                Response(_UNKNOWN, 403, media_type="text/plain") if wants_page else _problem(403, "refused", _UNKNOWN)
            )
        elif not length.isdecimal() or int(length) > limit or (int(length) == 0 and "transfer-encoding" in headers):
            answer = _problem(413, "refused", f"A request has at most {limit} bytes, and says how many.")
        else:
            answer = self._app
        try:
            await answer(scope, receive, send_safely)
        # A mistake of ours, whatever it is: the log has it, and the browser is told only that there was one.
        except Exception:
            if begun:
                raise
            _LOG.exception("%s %s could not be answered", scope["method"], path)
            mistake = _problem(500, "damaged", "This is a mistake in iconoscope, not yours.", "Its log says more.")
            await mistake(scope, receive, send_safely)
