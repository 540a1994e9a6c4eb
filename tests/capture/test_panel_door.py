"""Who is let in to the operator's page, and what is refused before anything looks at it."""

from __future__ import annotations

import time

import pytest

from buscomp.capture.panel_door import SESSION_S, TRIES, Door, is_loopback, is_named, names_of, refusal

LOCAL = names_of("127.0.0.1", "studio")
GET = {"host": "127.0.0.1:8770"}
POST = GET | {"origin": "http://127.0.0.1:8770", "content-type": "application/json", "sec-fetch-site": "same-origin"}


def test_a_key_lets_in_once():
    door = Door()
    key = door.new_key()
    cookie = door.enter(key)
    assert door.is_inside(cookie)
    assert door.enter(key) is None
    assert not door.is_inside("")
    assert not door.is_inside(None)
    assert not door.is_inside(key)
    door.leave(cookie)
    assert not door.is_inside(cookie)


def test_a_token_lets_in_as_often_as_it_is_typed_and_nothing_does_where_there_is_none():
    door = Door("correct horse battery")
    assert door.enter("correct horse battery") != door.enter("correct horse battery")
    assert door.enter("correct horse batter") is None
    assert Door().enter("") is None


def test_keys_and_sessions_end(monkeypatch):
    door = Door()
    key, cookie = door.new_key(60.0), door.enter(door.new_key())
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert door.enter(key) is None
    assert door.is_inside(cookie)
    monkeypatch.setattr(time, "monotonic", lambda: now + SESSION_S + 1)
    assert not door.is_inside(cookie)


def test_after_ten_wrong_keys_not_even_a_right_one_opens_for_a_minute(monkeypatch):
    door = Door()
    key = door.new_key(3600.0)
    for number in range(TRIES):
        assert not door.closed
        assert door.enter(f"wrong {number}") is None
    assert door.closed
    assert door.enter(key) is None
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert door.enter(key) is not None


def test_the_pages_own_requests_are_looked_at():
    assert refusal("GET", "/", GET, LOCAL, 8770) is None
    assert refusal("GET", "/events", GET | {"sec-fetch-site": "same-origin"}, LOCAL, 8770) is None
    assert refusal("POST", "/do", POST, LOCAL, 8770) is None
    navigated = GET | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert refusal("GET", "/", navigated, LOCAL, 8770) is None  # a link in a mail; the cookie stays at home


@pytest.mark.parametrize(
    ("attack", "method", "path", "changed"),
    [
        ("a name rebound to this address", "GET", "/", {"host": "evil.example:8770"}),
        ("the same with a port that is ours elsewhere", "GET", "/", {"host": "127.0.0.1:80"}),
        ("no name at all", "GET", "/", {"host": ""}),
        ("a name that only begins like ours", "GET", "/", {"host": "127.0.0.1.evil.example:8770"}),
        ("another site reads", "GET", "/events", {"sec-fetch-site": "cross-site"}),
        ("a site beside ours reads", "GET", "/events", {"sec-fetch-site": "same-site"}),
        ("another site frames", "GET", "/picture/t1", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),
        ("another site posts", "POST", "/do", {"sec-fetch-site": "cross-site"}),
        ("another origin posts", "POST", "/do", {"origin": "http://evil.example"}),
        ("another port of this computer posts", "POST", "/do", {"origin": "http://127.0.0.1:9999"}),
        ("a sandboxed frame posts", "POST", "/do", {"origin": "null"}),
        ("nobody says where it comes from", "POST", "/do", {"origin": ""}),
        ("a form posts", "POST", "/do", {"content-type": "application/x-www-form-urlencoded"}),
        ("a form posts text that looks like JSON", "POST", "/do", {"content-type": "text/plain"}),
        ("something unusual", "PUT", "/do", {}),
        ("something unusual", "DELETE", "/", {}),
        ("something unusual", "OPTIONS", "/do", {}),
    ],
)
def test_an_attack_is_refused(attack, method, path, changed):
    headers = (POST if method == "POST" else GET) | changed
    assert refusal(method, path, headers, LOCAL, 8770), attack


def test_a_server_that_listens_everywhere_is_asked_by_address_or_by_its_own_name_only():
    names = names_of("0.0.0.0", "Studio")
    for host in ("192.168.1.7", "fe80::1", "[fe80::1]", "studio", "studio.local", "localhost"):
        assert is_named(host, names), host
    for host in ("evil.example", "studio.evil.example", "192.168.1.7.evil.example", ""):
        assert not is_named(host, names), host
    assert not is_named("192.168.1.8", names_of("192.168.1.7", "studio"))
    assert not is_named("192.168.1.7", LOCAL)


def test_only_addresses_of_this_computer_are_loopback():
    assert all(is_loopback(host) for host in ("localhost", "127.0.0.1", "127.8.8.8", "::1"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.7", "studio", "localhost.evil.example"))
