"""`annotation.endpoint`: what is asked again, what is refused at once, and that nothing leaks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from buscomp.annotation.endpoint import Endpoint, EndpointError, ask
from buscomp.manifests.errors import UsageError
from buscomp.tests.annotation.chat_server import ChatServer, Reply, chat_server, says

QUESTION = [{"role": "user", "content": "What is it?"}]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("BUSCOMP_API_KEY", raising=False)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


def asked(server: ChatServer, waits_s: list[float]) -> str:
    return ask(Endpoint(server.base_url, "m"), QUESTION, max_tokens=10, sleep=waits_s.append)


def test_the_answer_comes_back_and_the_request_names_model_and_limits(server: ChatServer) -> None:
    assert asked(server, []) == "A calm song."
    assert server.paths == ["/v1/chat/completions"]
    (body,) = server.heard
    assert (body["model"], body["max_tokens"], body["temperature"], body["messages"]) == ("m", 10, 0.0, QUESTION)
    assert "Authorization" not in server.headers


def test_what_may_pass_is_asked_again_after_1_2_4_8_seconds(server: ChatServer) -> None:
    server.replies = [(500, {}, b"oh"), (503, {}, b"{}"), (200, {}, b'{"choices": [{"mess'), says("  ")]
    waits_s: list[float] = []
    assert asked(server, waits_s) == "A calm song."
    assert waits_s == [1, 2, 4, 8]


def test_a_server_that_is_busy_says_how_long_to_wait(server: ChatServer) -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.replies = [(429, {"Retry-After": "7"}, b"{}"), (429, {"Retry-After": date}, b"{}")]
    server.replies += [(429, {"Retry-After": "9999"}, b"{}"), (429, {"Retry-After": "soon"}, b"{}")]
    waits_s: list[float] = []
    asked(server, waits_s)
    assert waits_s == [7, 0, 60, 8]


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_every_status_that_may_pass_is_asked_again(server: ChatServer, status: int) -> None:
    server.replies = [(status, {}, b"")]
    waits_s: list[float] = []
    assert asked(server, waits_s) == "A calm song."
    assert waits_s == [1]


def test_a_server_that_says_nothing_in_time_is_asked_again(server: ChatServer) -> None:
    def slow(body: dict[str, Any]) -> Reply:
        if len(server.heard) < 3:
            time.sleep(2.0)
        return says("At last.")

    server.answer = slow
    waits_s: list[float] = []
    endpoint = Endpoint(server.base_url, "m", timeout_s=0.8)
    assert ask(endpoint, QUESTION, max_tokens=1, sleep=waits_s.append) == "At last."
    assert waits_s == [1, 2]
    server.heard.clear()
    server.answer = lambda body: time.sleep(0.5) or says("Too late.")  # type: ignore[func-returns-value]
    with pytest.raises(EndpointError, match=r"got no answer in 0\.1 s, 2 times"):
        ask(Endpoint(server.base_url, "m", timeout_s=0.1, attempts=2), QUESTION, max_tokens=1, sleep=waits_s.append)


def test_a_refusal_that_breaks_off_is_told_by_its_status(server: ChatServer) -> None:
    server.answer = lambda body: (400, {"Content-Length": "500"}, b"half")
    with pytest.raises(UsageError, match=r"refuses m, got 400 Bad Request"):
        ask(Endpoint(server.base_url, "m", timeout_s=0.3), QUESTION, max_tokens=1)


def test_five_failures_are_the_end_and_name_the_last_reason(server: ChatServer) -> None:
    server.answer = lambda body: (502, {}, b'{"error": {"message": "upstream\\nis gone"}}')
    with pytest.raises(EndpointError, match=r"m at http.*gives no answer, got 502 .*: upstream is gone, 5 times"):
        asked(server, [])
    assert len(server.heard) == 5


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_refusal_is_final_and_told_in_the_servers_words(server: ChatServer, status: int) -> None:
    server.answer = lambda body: (status, {}, b'{"error": {"message": "no such model"}}')
    with pytest.raises(UsageError, match=f"refuses m, got {status} .*no such model"):
        asked(server, [])
    assert len(server.heard) == 1


def test_audio_is_never_redirected_to_another_address(server: ChatServer) -> None:
    with chat_server() as other:
        server.answer = lambda body: (307, {"Location": other.base_url + "/chat/completions"}, b"")
        with pytest.raises(UsageError, match="307"):
            asked(server, [])
        assert other.heard == []


def test_the_key_is_sent_and_never_shown(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUSCOMP_API_KEY", "secret-17")
    server.answer = lambda body: (401, {}, b'{"error": {"message": "Incorrect API key provided: secret-17."}}')
    with pytest.raises(UsageError) as error:
        asked(server, [])
    assert server.headers["Authorization"] == "Bearer secret-17"
    assert "Incorrect API key provided: ***." in str(error.value)
    assert "set BUSCOMP_API_KEY" in str(error.value)
    server.answer = lambda body: (503, {}, b"secret-17")
    with pytest.raises(EndpointError, match=r"503 .*: \*\*\*, 5 times"):
        asked(server, [])


def test_no_server_is_named() -> None:
    with chat_server() as gone:
        address = gone.base_url
    waits_s: list[float] = []
    with pytest.raises(EndpointError, match="refused, 5 times"):
        ask(Endpoint(address, "m"), QUESTION, max_tokens=1, sleep=waits_s.append)
    assert waits_s == [1, 2, 4, 8]


@pytest.mark.parametrize("address", ["localhost:8000", "file:///etc/passwd", "http://", "ftp://host/v1"])
def test_only_http_addresses_are_asked(address: str) -> None:
    with pytest.raises(UsageError, match="not the address of a model"):
        Endpoint(address, "m")


def test_a_password_in_an_address_is_refused_without_showing_it() -> None:
    with pytest.raises(UsageError, match="would be recorded") as error:
        Endpoint("http://me:hunter2@host/v1", "m")
    assert "hunter2" not in str(error.value)
