"""A server on this machine that speaks the OpenAI chat protocol, and fails in the ways that real ones do."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import soundfile

Reply = tuple[int, dict[str, str], bytes]


def says(text: str) -> Reply:
    """A chat completion with `text`."""
    document = {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    return 200, {}, json.dumps(document).encode()


@dataclass
class ChatServer:
    """`heard`: the bodies of all requests; `headers` of the last one; `replies` come first, then `answer`'s."""

    base_url: str = ""
    answer: Callable[[dict[str, Any]], Reply] = lambda body: says("A calm song.")
    replies: list[Reply] = field(default_factory=list)
    heard: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)


def sound_of(body: dict[str, Any]) -> tuple[int, int]:
    """Frames and sample rate of the WAV in a request."""
    (part,) = (each for each in body["messages"][0]["content"] if each["type"] != "text")
    data = (
        part["input_audio"]["data"] if part["type"] == "input_audio" else part["audio_url"]["url"].split("base64,")[1]
    )
    audio, sample_rate = soundfile.read(io.BytesIO(base64.b64decode(data, validate=True)), always_2d=True)
    assert audio.shape[1] == 1
    return len(audio), sample_rate


@contextmanager
def chat_server() -> Iterator[ChatServer]:
    """A running server; it ends with the block."""
    server, lock = ChatServer(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.heard.append(body)
                server.paths.append(self.path)
                server.headers = dict(self.headers)
                reply = server.replies.pop(0) if server.replies else None
            status, headers, told = reply or server.answer(body)
            with contextlib.suppress(ConnectionError):  # who asked may have hung up
                self.send_response(status)
                for name, value in {"Content-Length": str(len(told)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(told)

        def log_message(self, *words: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        server.base_url = f"http://127.0.0.1:{http.server_port}/v1"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
