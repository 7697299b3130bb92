"""The server: who is answered, what is sent with every answer, and how what goes wrong is said."""

from __future__ import annotations

import dataclasses
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
from starlette.websockets import WebSocketClose

import iconoscope
from iconoscope.errors import IconoscopeError
from iconoscope.explorer import (
    atlas_page,
    concepts_page,
    image_page,
    layer_page,
    live_audit,
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
from iconoscope.explorer.problems import MISTAKE, problem_of, problem_of_form
from iconoscope.explorer.security import LONGEST, AccessRules, security_headers
from iconoscope.explorer.session import Session

__all__ = ["create_app"]

SITE = Path(__file__).with_name("site")
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_LOG = logging.getLogger("iconoscope.explorer")
_UNKNOWN = (
    "Open the address that the explorer printed when it was started: it has a token in it, which is new every time."
)

_UNKNOWN_SPANISH = "Abre la dirección que el explorador escribió al empezar: lleva una clave que cada vez es otra."
"""The same on the page that is all a browser without the token sees, which has no switch of language."""

_ROUTERS = (
    network_page,
    layer_page,
    concepts_page,
    unit_page,
    image_page,
    pictures,
    patch_questions,
    map_page,
    atlas_page,
    live_optimization,
    live_recording,
    live_audit,
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


def _refused(message: str, hint: str = "") -> messages.Problem:
    return messages.Problem("refused", message, hint)


def _response(status: int, problem: messages.Problem) -> JSONResponse:
    return JSONResponse(dataclasses.asdict(problem), status)


def _explain(request: Request, error: Exception) -> Response:
    return _response(*problem_of(error, request.app.state.session.folders))


def _explain_form(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _response(400, problem_of_form(list(error.errors())))


def _explain_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = "not found" if error.status_code == 404 else "question"
    return _response(error.status_code, messages.Problem(kind, str(error.detail), ""))


class _Gate:
    """Lets those in whom the rules admit, bounds what they send, and puts the headers of safety on every answer."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers, path, rules = Headers(scope=scope), scope["path"], self._rules
        if scope["type"] == "websocket":
            is_let_in = not rules.refusal("GET", path, headers) and rules.is_admitted(headers)
            await (self._app if is_let_in else WebSocketClose(1008))(scope, receive, send)
            return
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

        limit = LARGEST + 1 if path == "/api/uploads" else LONGEST
        length = headers.get("content-length", "0")
        refusal = rules.refusal(scope["method"], path, headers)
        if refusal:
            answer: ASGIApp = _response(403, _refused(refusal, _UNKNOWN))
        elif not (introduced or rules.is_admitted(headers)):
            wants_page = not path.startswith("/api/")
            page = Response(f"{_UNKNOWN}\n\n{_UNKNOWN_SPANISH}", 403, media_type="text/plain")
            answer = page if wants_page else _response(403, _refused(_UNKNOWN))
        elif not length.isdecimal() or int(length) > limit or (int(length) == 0 and "transfer-encoding" in headers):
            answer = _response(413, _refused(f"A request has at most {limit} bytes, and says how many."))
        else:
            answer = self._app
        try:
            await answer(scope, receive, send_safely)
        # A mistake of ours, whatever it is: the log has it, and the browser is told only that there was one.
        except Exception:
            if begun:
                raise
            _LOG.exception("%s %s could not be answered", scope["method"], path)
            await _response(500, MISTAKE)(scope, receive, send_safely)
