"""A language model behind an address that speaks the OpenAI chat protocol: vLLM, llama.cpp, Ollama, a hosted service.

`POST {base_url}/chat/completions`. What may pass by itself is tried again, each time after a longer wait: no
connection, no answer in time, 429, 5xx, an answer that is no JSON or no chat. Redirections are not followed: what is
sent goes to the address that the user named and nowhere else. A key comes from the environment, `BUSCOMP_API_KEY`;
it is never stored or shown.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import IO, Any

from ..manifests.errors import BuscompError, UsageError

KEY_VARIABLE = "BUSCOMP_API_KEY"
MAX_ANSWER_BYTES = 4 << 20
PASSING = (408, 409, 425, 429, 500, 502, 503, 504)
LONGEST_WAIT_S = 60.0
Json = dict[str, Any]


class EndpointError(BuscompError):
    """The address gave no usable answer, however often it was asked."""


class _PassingError(Exception):
    """It may go better the next time. `wait_s`: how long the server asks to be left alone."""

    def __init__(self, reason: str, wait_s: float | None = None):
        super().__init__(reason)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Endpoint:
    """One model at one address. `base_url`: up to and including `/v1`. `attempts`: how often a request is sent at
    most; the wait before the second is `first_wait_s`, and then it doubles."""

    base_url: str
    model: str
    timeout_s: float = 120.0
    attempts: int = 5
    first_wait_s: float = 1.0

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            mend = "name the address with its /v1: http://localhost:8000/v1"
            raise UsageError("not the address of a model", got=self.base_url, allowed="http, https", mend=mend)
        if parts.username is not None:
            mend = f"set {KEY_VARIABLE} instead"
            raise UsageError("an address with a password would be recorded", got=parts.hostname, mend=mend)

    @property
    def url(self) -> str:
        return self.base_url.rstrip("/") + "/chat/completions"


def ask(
    endpoint: Endpoint,
    messages: list[Json],
    *,
    max_tokens: int,
    temperature: float = 0.0,
    response_format: Json | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """What the model answers to `messages`, never empty.

    `EndpointError` when it gives no usable answer in `attempts` attempts; `UsageError` at once when the address
    refuses (wrong key, wrong model, too long a request)."""
    body: Json = {"model": endpoint.model, "messages": messages, "max_tokens": max_tokens, "temperature": temperature}
    if response_format is not None:
        body["response_format"] = response_format
    reason = ""
    for attempt in range(endpoint.attempts):
        try:
            return _content(_post(endpoint, body))
        except _PassingError as passing:
            reason = str(passing)
            if attempt + 1 < endpoint.attempts:
                wait_s = endpoint.first_wait_s * 2**attempt if passing.wait_s is None else passing.wait_s
                sleep(min(wait_s, LONGEST_WAIT_S))
    raise EndpointError(
        f"{endpoint.model} at {endpoint.base_url} gives no answer",
        got=f"{reason}, {endpoint.attempts} times",
        mend="see that the server runs; what is done already is kept",
    )


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


def _post(endpoint: Endpoint, body: Json) -> bytes:
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "buscomp"}
    if key := os.environ.get(KEY_VARIABLE):
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(endpoint.url, json.dumps(body).encode(), headers, method="POST")
    told = b""
    try:
        with urllib.request.build_opener(_NoRedirection).open(request, timeout=endpoint.timeout_s) as answer:
            told = answer.read(MAX_ANSWER_BYTES + 1)
    except urllib.error.HTTPError as error:
        with error, contextlib.suppress(OSError, http.client.HTTPException):  # the status alone may have to do
            told = error.read(2000)
        reason = f"{error.code} {error.reason}: {_reason(told)}"
        reason = reason.replace(key, "***") if key else reason  # some servers repeat what they refuse
        if error.code in PASSING:
            raise _PassingError(reason, _retry_after_s(error.headers.get("Retry-After"))) from None
        mend = {401: f"set {KEY_VARIABLE}", 403: f"set {KEY_VARIABLE}", 404: "see address and model"}.get(error.code)
        raise UsageError(f"{endpoint.base_url} refuses {endpoint.model}", got=reason, mend=mend) from None
    except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
        if isinstance(getattr(error, "reason", error), TimeoutError):
            raise _PassingError(f"no answer in {endpoint.timeout_s:g} s") from None
        raise _PassingError(str(getattr(error, "reason", "")) or repr(error)) from None
    if len(told) > MAX_ANSWER_BYTES:
        raise EndpointError(f"{endpoint.base_url} answers without end", got=f"more than {MAX_ANSWER_BYTES} bytes")
    return bytes(told)


def _reason(told: bytes) -> str:
    """What the server says is wrong, in its own words and in one line."""
    try:
        document = json.loads(told)
        error = document.get("error", document)
        text = error.get("message", error) if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        text = told.decode(errors="replace")
    return " ".join(str(text).split())[:200]


def _retry_after_s(value: str | None) -> float | None:
    """Seconds of a `Retry-After`, which holds a number or a date; None where there is no readable one."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _content(told: bytes) -> str:
    """The text of a chat completion."""
    try:
        text = json.loads(told)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError):
        raise _PassingError(f"an answer that is no chat: {told[:60]!r}") from None
    if not isinstance(text, str) or not text.strip():
        raise _PassingError("an empty answer")
    return text.strip()
