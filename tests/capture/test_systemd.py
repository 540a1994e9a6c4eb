"""Messages to a service manager, heard on a socket of our own."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from buscomp.capture.systemd import Notifier


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(20)

    def hear(self) -> str:
        return self.socket.recv(4096).decode()

    def heard_within(self, seconds: float) -> list[str]:
        """Everything that comes in `seconds`."""
        heard, deadline = [], time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                heard.append(self.socket.recv(4096).decode())
            except TimeoutError:
                break
        self.socket.settimeout(20)
        return heard


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.chdir(tmp_path)  # a socket's address has 108 bytes at most
    manager = Manager("notify")
    yield manager
    manager.socket.close()


def test_ready_status_and_stopping_arrive_as_one_datagram_each(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": "notify"})
    notifier.ready("38500 takes to do")
    notifier.status("take: first-light\nat s-20")
    notifier.stopping()
    notifier.close()
    assert [manager.hear() for _ in range(3)] == [
        "READY=1\nSTATUS=38500 takes to do",
        "STATUS=take: first-light at s-20",
        "STOPPING=1",
    ]


def test_an_abstract_socket_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"buscomp-{uuid.uuid4().hex}"
    manager = Manager("\0" + name)
    notifier = Notifier({"NOTIFY_SOCKET": "@" + name})
    assert notifier.send(READY=1)
    notifier.close()
    assert manager.hear() == "READY=1"
    manager.socket.close()


def test_the_watchdog_is_fed_while_the_main_thread_keeps_its_word_and_starves_when_it_hangs(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": "notify", "WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.period_s == 0.05
    notifier.expect(0.5)
    notifier.ready("ready")
    fed = manager.heard_within(0.4)
    assert fed[0] == "READY=1\nSTATUS=ready"
    assert len(fed) >= 3
    assert set(fed[1:]) == {"WATCHDOG=1"}
    time.sleep(0.2)  # the word is broken: what was promised within 0.5 s has not come
    manager.heard_within(0.05)
    assert manager.heard_within(0.3) == []
    notifier.expect(20)
    assert manager.hear() == "WATCHDOG=1"
    notifier.close()
    manager.heard_within(0.05)
    assert manager.heard_within(0.2) == []


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": str(os.getpid() + 1)},
    ],
)
def test_no_watchdog_is_fed_where_none_is_kept_on_this_process(manager: Manager, environment: dict[str, str]) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": "notify", **environment})
    notifier.ready("ready")
    assert manager.heard_within(0.15) == ["READY=1\nSTATUS=ready"]
    notifier.close()


def test_without_a_manager_or_with_one_that_is_gone_nothing_is_sent_and_nothing_fails(tmp_path: Path) -> None:
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        notifier = Notifier(environment)
        assert not notifier.send(READY=1)
        notifier.ready("ready")
        notifier.close()
