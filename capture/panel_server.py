"""The operator's page over HTTP: state as server-sent events, wishes as small files for the daemon.

It is a process of its own beside the capture. It reads the dataset and leaves orders there; if it dies, or was never
started, no take is the worse for it.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import jinja2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ..manifests.dataset import Dataset
from ..manifests.errors import BuscompError, DatasetError, UsageError
from ..manifests.version import version
from .control import GO, PAUSE, STOP
from .control import request as ask_daemon
from .daemon_state import daemon_of
from .orders import Override, Retake, give_order
from .panel import Answer
from .panel_door import SESSION_S, Door
from .panel_guard import Guard, json_of, told_error
from .panel_state import PanelState
from .question import answer_question
from .take_picture import take_picture

HERE = Path(__file__).parent
FILES = {"/panel.css": ("panel.css", "text/css"), "/panel.js": ("panel.js", "text/javascript")}
ICON = "/favicon.ico"  # browsers ask for it unasked
EVERY_S = 0.25  # the files of the daemon are looked at so often, while somebody looks at the page
BEAT_S = 1.0  # a sign of life at least so often: the page calls itself stale after three
MOST_VIEWERS = 24
Row = dict[str, Any]


class Page:
    """The page of one dataset."""

    def __init__(self, dataset: Dataset, door: Door, names: frozenset[str], port: int):
        self.dataset, self.door, self.names, self.port = dataset, door, names, port
        self.over = asyncio.Event()
        self._state = PanelState(dataset)
        self._viewers = 0
        self._said: tuple[float, Row] = (-1.0, {})  # when the state was read last, on the loop's clock, and what it was
        self._reading = asyncio.Lock()
        self._picture: tuple[str, Row] = ("", {})
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        self._template = environment.from_string((HERE / "panel.html").read_text(encoding="utf-8"))

    @property
    def cookie(self) -> str:
        """The cookie's name: browsers keep the cookies of all ports of a host together."""
        return f"buscomp-{self.port}"

    def app(self) -> ASGIApp:
        """The whole, with its guard before it."""
        routes = [
            Route("/", self.show),
            *(Route(path, self.file) for path in FILES),
            Route(ICON, no_icon),
            Route("/events", self.events),
            Route("/picture/{take_id}", self.picture),
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Route("/link", self.link, methods=["POST"]),
            Route("/do", self.act, methods=["POST"]),
        ]
        inner = Starlette(routes=routes, exception_handlers={BuscompError: told_error})
        return Guard(inner, self.names, self.port, self.is_inside, ("/", "/login", ICON, *FILES))

    async def show(self, request: Request) -> Response:
        """The page, or its door."""
        inside = self.is_inside(request)
        html = self._template.render(
            inside=inside, dataset=self.dataset.root.resolve().name if inside else "", version=version()
        )
        return Response(html, 200 if inside else 401, media_type="text/html")

    async def file(self, request: Request) -> Response:
        """Style sheet and script: nothing of the dataset is in them."""
        name, kind = FILES[request.url.path]
        return Response((HERE / name).read_bytes(), media_type=kind)

    async def login(self, request: Request) -> Response:
        """A key or the token for a session."""
        body = await json_of(request)
        cookie = self.door.enter(str(body.get("key", "")))
        if cookie is None:
            why = "Too many wrong keys: wait a minute." if self.door.closed else "This link was used, or is wrong."
            return JSONResponse({"error": why}, 429 if self.door.closed else 403)
        answer = JSONResponse({"ok": True})
        answer.set_cookie(self.cookie, cookie, max_age=round(SESSION_S), path="/", httponly=True, samesite="strict")
        return answer

    async def logout(self, request: Request) -> Response:
        """End the session of this browser."""
        self.door.leave(request.cookies.get(self.cookie))
        answer = JSONResponse({"ok": True})
        answer.delete_cookie(self.cookie, path="/", httponly=True, samesite="strict")
        return answer

    async def link(self, request: Request) -> Response:
        """A link for a further device: it works once, within 15 minutes."""
        return JSONResponse({"path": f"/#key={self.door.new_key()}"})

    async def act(self, request: Request) -> Response:
        """A wish of the operator becomes a file for the daemon."""
        body = await json_of(request)
        await asyncio.to_thread(self._carry_out, body)
        self._said = (-1.0, {})
        return JSONResponse({"ok": True})

    def _carry_out(self, body: Row) -> None:
        """`UsageError` for a wish that cannot be meant, `DatasetError` where no daemon runs."""
        words = {name: value for name, value in body.items() if isinstance(value, str)}
        if daemon_of(self.dataset) is None:
            raise DatasetError("no capture is running in this dataset")
        match words.get("do"):
            case "done":
                answer_question(self.dataset, words.get("question_id", ""), Answer("again"))
            case "accept":
                answer = Answer("accept", words.get("reason", ""))
                answer_question(self.dataset, words.get("question_id", ""), answer)
            case "pause":
                ask_daemon(self.dataset, PAUSE)
            case "resume":
                ask_daemon(self.dataset, GO)
            case "stop":
                ask_daemon(self.dataset, STOP)
            case "retake":
                give_order(self.dataset, Retake(words.get("take_id", "")))
            case "override":
                give_order(self.dataset, Override(words.get("code", ""), words.get("reason", "")))
            case unknown:
                allowed = ("done", "accept", "pause", "resume", "stop", "retake", "override")
                raise UsageError("nothing of that kind can be done", got=unknown, allowed=allowed)

    async def picture(self, request: Request) -> Response:
        """Waveform and gain of one take."""
        take_id = request.path_params["take_id"]
        if self._picture[0] != take_id:
            self._picture = (take_id, await asyncio.to_thread(take_picture, self.dataset, take_id))
        return JSONResponse(self._picture[1])

    async def events(self, request: Request) -> Response:
        """State and meters, as long as somebody looks."""
        if self._viewers >= MOST_VIEWERS:
            return JSONResponse({"error": "too many pages are open"}, 503)
        return StreamingResponse(self._stream(request.cookies.get(self.cookie)), media_type="text/event-stream")

    async def _stream(self, cookie: str | None) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        told: dict[str, str] = {}
        spoke_at = 0.0
        self._viewers += 1
        try:
            while not self.over.is_set():
                if not self.door.is_inside(cookie):  # logged out meanwhile
                    return
                meters = await asyncio.to_thread(self._state.meters)
                for name, row in (("state", await self._read()), ("live", meters)):
                    text = json.dumps(row)
                    if told.get(name) != text:
                        told[name], spoke_at = text, loop.time()
                        yield f"event: {name}\ndata: {text}\n\n"
                if loop.time() - spoke_at >= BEAT_S:
                    spoke_at = loop.time()
                    yield "event: beat\ndata: {}\n\n"
                await asyncio.sleep(EVERY_S)
            last = await asyncio.to_thread(self._state.read)
            yield f"event: state\ndata: {json.dumps(last)}\n\nevent: over\ndata: {{}}\n\n"
        finally:
            self._viewers -= 1

    async def _read(self) -> Row:
        """The state, read once for all who look."""
        async with self._reading:
            now = asyncio.get_running_loop().time()
            if now - self._said[0] >= EVERY_S:
                self._said = (now, await asyncio.to_thread(self._state.read))
            return self._said[1]

    def is_inside(self, request: Request) -> bool:
        """Whether the request comes from a session."""
        return self.door.is_inside(request.cookies.get(self.cookie))


async def no_icon(request: Request) -> Response:
    """There is none."""
    return Response(status_code=204)


def listening_socket(host: str, port: int, or_any: bool) -> socket.socket:
    """A socket that listens at `host`; at any free port, where `port` is taken and it may be another (`or_any`).
    `UsageError` when there is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for tried in (port, 0) if or_any else (port,):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, tried))
            listener.listen()
        except OSError as error:
            listener.close()
            why = error
            continue
        return listener
    raise UsageError(f"nothing can listen at {host}:{port} ({why})", mend="name another --host or --port")


async def serve(page: Page, listener: socket.socket, until: Callable[[], Awaitable[None]] | None = None) -> None:
    """Serve `page` until a signal comes, or `until` returns."""
    config = uvicorn.Config(
        page.app(), log_level="warning", access_log=False, server_header=False, proxy_headers=False, lifespan="off",
        ws="none", timeout_graceful_shutdown=2, timeout_keep_alive=30, limit_concurrency=128,
    )  # fmt: skip
    server = uvicorn.Server(config)

    async def end() -> None:
        assert until is not None
        await until()
        server.should_exit = True

    async def tell_viewers() -> None:
        while not server.should_exit:
            await asyncio.sleep(EVERY_S / 2)
        page.over.set()

    helpers = [asyncio.ensure_future(tell_viewers()), *([asyncio.ensure_future(end())] if until else [])]
    try:
        await server.serve(sockets=[listener])
    finally:
        for helper in helpers:
            helper.cancel()
