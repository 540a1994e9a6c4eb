"""What stands before the operator's page: requests that `panel_door` refuses get no further, and every answer carries
the headers that browsers obey."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..manifests.errors import DatasetError, UsageError
from .panel_door import BODY_LIMIT, HEADERS, refusal

Row = dict[str, Any]


class Guard:
    """Refuses before anything is looked at, and puts the headers that browsers obey on every answer."""

    def __init__(
        self,
        app: ASGIApp,
        names: frozenset[str],
        port: int,
        is_inside: Callable[[Request], bool],
        open_to_all: Collection[str],
    ):
        self._app, self._names, self._port = app, names, port
        self._is_inside, self._open_to_all = is_inside, open_to_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        path = scope["path"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        why = refusal(scope["method"], path, headers, self._names, self._port)

        async def send_guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *ours]}
            await send(message)

        answer: ASGIApp = self._app
        if why is not None:
            answer = JSONResponse({"error": why}, 403)
        elif path not in self._open_to_all and not self._is_inside(request):
            answer = JSONResponse({"error": "log in first"}, 401)
        await answer(scope, receive, send_guarded)


async def json_of(request: Request) -> Row:
    """The body as JSON; `UsageError` when it is too long, or no object."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > BODY_LIMIT:
            raise UsageError("a request is short", got="more", allowed=f"{BODY_LIMIT} bytes")
    try:
        row = json.loads(body)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise UsageError("a request is one JSON object")
    return row


async def told_error(request: Request, error: Exception) -> Response:
    """One line for whoever asked."""
    status = 409 if isinstance(error, DatasetError) else 400
    return JSONResponse({"error": str(error)}, status)
