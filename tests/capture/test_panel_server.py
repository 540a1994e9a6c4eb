"""The operator's page over real HTTP: what a stranger, a hostile page and the operator get."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from buscomp.capture import panel_server
from buscomp.capture.control import requested
from buscomp.capture.daemon import Daemon
from buscomp.capture.live_file import LIVE, write_live
from buscomp.capture.orders import Orders, Override, Retake
from buscomp.capture.panel import AGAIN, Answer
from buscomp.capture.panel_door import BODY_LIMIT, Door, names_of
from buscomp.capture.panel_server import Page, listening_socket, serve
from buscomp.capture.panel_state import PanelState
from buscomp.capture.question import Desk, Question
from buscomp.cli import main
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DeviceError
from buscomp.manifests.tables import write_table
from buscomp.tests import small_dataset

SCRIPT = '<script>alert("song")</script>'


@dataclass
class Served:
    dataset: Dataset
    door: Door
    port: int
    cookie: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; `headers` with _ for -, and the page's own where nothing is said."""
        ours = {"Host": f"127.0.0.1:{self.port}", "Cookie": f"buscomp-{self.port}={self.cookie}"}
        if method == "POST":
            ours |= {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json"}
        ours |= {name.replace("_", "-"): value for name, value in headers.items()}
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            text = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            line.request(method, path, text, ours)
            answer = line.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, found, answer.read()
        finally:
            line.close()

    def do(self, **wish: Any) -> tuple[int, str]:
        status, _, body = self.ask("POST", "/do", wish)
        return status, json.loads(body).get("error", "")

    def events(self, *names: str) -> dict[str, Any]:
        """The stream, until there was an event of each of these names and a second without any: the last of each."""
        text = ""
        found: dict[str, str] = {}
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as line:
            line.sendall(
                f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
                f"Cookie: buscomp-{self.port}={self.cookie}\r\n\r\n".encode()
            )
            while not {*names, "beat"} <= found.keys():
                text += line.recv(65536).decode()
                found = dict(re.findall(r"event: (\w+)\ndata: (.*)\n\n", text))
        return {name: json.loads(data) for name, data in found.items()}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    dataset = small_dataset.make_dataset(tmp_path_factory.mktemp("panel") / "dataset", seconds=1.0)
    songs = dataset.rows("songs")
    songs[0] |= {"title": f"One {SCRIPT}", "artist": SCRIPT}
    write_table(dataset.table_path("songs"), "songs", songs)
    door = Door()
    listener = listening_socket("127.0.0.1", 0, or_any=False)
    port = listener.getsockname()[1]
    over = threading.Event()

    async def until() -> None:
        while not over.is_set():
            await asyncio.sleep(0.05)

    def run() -> None:
        async def all_of_it() -> None:
            await serve(Page(dataset, door, names_of("127.0.0.1", "studio"), port), listener, until)

        asyncio.run(all_of_it())

    thread = threading.Thread(target=run)
    thread.start()
    cookie = door.enter(door.new_key())
    assert cookie is not None
    yield Served(dataset, door, port, cookie)
    over.set()
    thread.join(20)
    assert not thread.is_alive()


@contextmanager
def running(dataset: Dataset) -> Iterator[Daemon]:
    """A daemon beside which the page may be used."""
    with dataset.lock(), Daemon.opened(dataset, "s1", 5, attended=True) as daemon:
        yield daemon


QUESTION = Question(
    "correct", "ssl-500-series-bus-compressor-unknown", None, "thr-28_att0p1_rel0p1_rat2",
    {"threshold_db": -28.0, "attack_ms": 0.1, "release_s": 0.1, "ratio": 2.0, "makeup_db": 0.0,
     "sidechain_hpf_hz": "off", "engaged": True},
    None, f"looks like {SCRIPT}", "ratio", 3.0,
)  # fmt: skip


def test_a_stranger_sees_the_door_and_nothing_of_the_dataset(served: Served):
    status, headers, body = served.ask("GET", "/", Cookie="")
    assert status == 401
    assert b'id="door"' in body
    assert served.dataset.root.name.encode() not in body
    for path in ("/events", "/picture/t000000-1", "/nothing", "/do/..", "/%2e%2e/journal.sqlite", "/docs"):
        status, _, body = served.ask("GET", path, Cookie="")
        assert (status, json.loads(body)) == (401, {"error": "log in first"}), path
    for path in ("/do", "/link", "/logout"):
        assert served.ask("POST", path, {"do": "stop"}, Cookie="buscomp=1")[0] == 401
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")


def test_every_answer_carries_the_headers_that_browsers_obey(served: Served):
    for method, path in (("GET", "/"), ("GET", "/panel.js"), ("GET", "/nothing"), ("POST", "/do"), ("PUT", "/do")):
        headers = served.ask(method, path, {} if method == "POST" else None)[1]
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'none'" in policy
        assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")
        assert (headers["referrer-policy"], headers["cache-control"]) == ("no-referrer", "no-store")
        assert "server" not in headers


def test_a_link_lets_one_browser_in_once_with_a_cookie_that_no_script_and_no_other_site_gets(served: Served):
    key = served.door.new_key()
    status, headers, _ = served.ask("POST", "/login", {"key": key}, Cookie="")
    assert status == 200
    cookie = headers["set-cookie"]
    assert re.match(rf"buscomp-{served.port}=[\w-]{{32}}; HttpOnly; Max-Age=604800; Path=/; SameSite=strict$", cookie)
    new = cookie.partition("=")[2].partition(";")[0]
    assert served.ask("GET", "/", Cookie=f"buscomp-{served.port}={new}")[0] == 200
    status, headers, body = served.ask("POST", "/login", {"key": key}, Cookie="")
    assert (status, json.loads(body)["error"]) == (403, "This link was used, or is wrong.")
    assert "set-cookie" not in headers
    assert served.ask("GET", f"/login?key={served.door.new_key()}", Cookie="")[0] == 405  # no GET changes anything
    served.ask("POST", "/logout", {}, Cookie=f"buscomp-{served.port}={new}")
    assert served.ask("GET", "/", Cookie=f"buscomp-{served.port}={new}")[0] == 401


def test_a_link_for_another_device_is_given_to_those_who_are_in(served: Served):
    status, _, body = served.ask("POST", "/link", {})
    path = json.loads(body)["path"]
    assert status == 200
    assert path.startswith("/#key=")
    assert served.door.enter(path.removeprefix("/#key=")) is not None


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Content_Type": "text/plain"},
    ],
)
def test_a_hostile_page_in_the_operators_own_browser_stops_nothing(served: Served, headers: dict[str, str]):
    with running(served.dataset):
        status, _, body = served.ask("POST", "/do", {"do": "stop"}, **headers)
        assert status == 403
        assert "error" in json.loads(body)
        assert requested(served.dataset) == "go"


def test_no_get_changes_anything(served: Served):
    with running(served.dataset):
        for path in ("/do?do=stop", "/link", "/logout", "/login"):
            assert served.ask("GET", path)[0] == 405
        assert requested(served.dataset) == "go"
        assert served.ask("GET", "/")[0] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{" + b" " * BODY_LIMIT + b"}", 400),
        (b'{"do": "stop", "x": "' + b"x" * 10_000_000 + b'"}', 400),
        (b"stop", 400),
        (b'["stop"]', 400),
        (b"\xff\xfe", 400),
        (b"[" * 4000, 400),
        (b"", 400),
    ],
)
def test_a_body_that_is_too_long_or_no_object_is_refused(served: Served, body: bytes, status: int):
    with running(served.dataset):
        try:
            assert served.ask("POST", "/do", body)[0] == status
        except (BrokenPipeError, ConnectionResetError):
            assert len(body) > 1_000_000  # it did not listen to the end
        assert requested(served.dataset) == "go"


def test_a_body_that_never_ends_is_cut_off(served: Served):
    line = socket.create_connection(("127.0.0.1", served.port), timeout=20)
    line.sendall(
        f"POST /do HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nOrigin: http://127.0.0.1:{served.port}\r\n"
        f"Content-Type: application/json\r\nCookie: buscomp-{served.port}={served.cookie}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n".encode()
    )
    told = b""
    try:
        for _ in range(64):
            line.sendall(b"400\r\n" + b" " * 1024 + b"\r\n")
            time.sleep(0.01)
        told = line.recv(4096)
    except (BrokenPipeError, ConnectionResetError):
        told = b"HTTP/1.1 400"
    assert told.startswith(b"HTTP/1.1 400")
    line.close()


def test_wishes_become_files_for_the_daemon(served: Served):
    with running(served.dataset):
        orders = Orders(served.dataset)
        for wish, wanted in (("pause", "pause"), ("resume", "go"), ("stop", "stop"), ("resume", "go")):
            assert served.do(do=wish) == (200, "")
            assert requested(served.dataset) == wanted
        assert served.do(do="retake", take_id="t000003-1")[0] == 200
        assert served.do(do="override", code="hum", reason="transformer")[0] == 200
        assert [orders.next(), orders.next()] == [Retake("t000003-1"), Override("hum", "transformer")]
        for wrong in ({"do": "rm"}, {}, {"do": "retake", "take_id": "../x"}, {"do": "override", "code": "hum"},
                      {"do": ["stop"]}, {"do": "done", "question_id": 7}):  # fmt: skip
            status, error = served.do(**wrong)
            assert (status, bool(error)) == (400, True), wrong


def test_a_question_is_answered_once_by_its_number(served: Served):
    with running(served.dataset), Desk(served.dataset).open(QUESTION) as question:
        assert served.do(do="done", question_id="0" * 16)[0] == 400
        assert question.answer() is None
        assert served.do(do="done", question_id=question.question_id) == (200, "")
        assert question.answer() == AGAIN
        assert served.do(do="accept", question_id=question.question_id, reason=" ")[0] == 400
        assert served.do(do="accept", question_id=question.question_id, reason="checked by ear")[0] == 200
        assert question.answer() == Answer("accept", "checked by ear")


def test_without_a_daemon_nothing_can_be_wished(served: Served):
    assert served.do(do="stop") == (409, "no capture is running in this dataset")
    assert not (served.dataset.root / ".request").exists()


def test_the_stream_tells_state_and_meters_and_beats_while_nothing_changes(served: Served):
    with running(served.dataset) as daemon:
        daemon.doing("take", take_id="t000000-1", song_id="song-0", setting_id="thr-28_att0p1_rel0p1_rat2")
        write_live(served.dataset, LIVE, {"song_id": "song-0", "units": []})
        found = served.events("state", "live")
        (served.dataset.root / LIVE).unlink()
    assert set(found) == {"state", "live", "beat"}
    state = found["state"]
    assert (state["daemon"]["doing"], state["trouble"], state["pass"]) == ("take", None, {"done": 3, "all": 3})
    assert state["counts"]["takes"] == {"accepted": 12}
    assert len(state["takes"]) == 12
    assert state["takes"][0]["latency_samples"] == 137.25
    assert found["live"]["song"].startswith("One <script>")


def test_whoever_logs_out_hears_nothing_more(served: Served):
    other = Served(served.dataset, served.door, served.port, str(served.door.enter(served.door.new_key())))
    with socket.create_connection(("127.0.0.1", other.port), timeout=20) as line:
        line.sendall(
            f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{other.port}\r\n"
            f"Cookie: buscomp-{other.port}={other.cookie}\r\nConnection: close\r\n\r\n".encode()
        )
        assert line.recv(100).startswith(b"HTTP/1.1 200")
        assert other.ask("POST", "/logout", {})[0] == 200
        while line.recv(65536):
            pass


def test_why_a_capture_has_failed_is_still_told_when_it_is_gone(served: Served):
    with pytest.raises(DeviceError), running(served.dataset):
        raise DeviceError("the device did not come back within 600 s")
    state = served.events("state")["state"]
    assert state["daemon"] is None
    assert (state["alarms"][0]["alarm"], state["alarms"][0]["told"]) == (
        "session_failed",
        "the device did not come back within 600 s",
    )


def test_a_script_in_a_title_or_in_what_the_audio_says_stays_text(served: Served):
    with running(served.dataset), Desk(served.dataset).open(QUESTION):
        state = served.events("state")["state"]
    assert SCRIPT in state["takes"][-1]["song"]
    assert SCRIPT in state["question"]["told"]
    assert "<script" not in state["front"]["wide"]
    assert state["question"]["moves"] == [
        {"control": "ratio", "label": "RATIO", "to": "2", "from": "3", "way": "1 detent anticlockwise", "held": False}
    ]
    assert b"<script>alert" not in served.ask("GET", "/")[2]


def test_a_take_is_a_picture_with_the_gain_that_the_unit_had(served: Served):
    status, _, body = served.ask("GET", "/picture/t000004-1")
    picture = json.loads(body)
    assert status == 200
    assert len(picture["dry"]) == len(picture["wet"]) == len(picture["gain_db"]) == 400
    heard = [gain for gain in picture["gain_db"] if gain is not None]
    assert heard == pytest.approx([0.0] * len(heard), abs=0.05)  # -2 dB, which is the unit's static gain there
    assert picture["expected_db"] is None
    assert served.ask("GET", "/picture/t999999-1")[0] == 409
    assert served.ask("GET", "/picture/..%2f..%2fetc")[0] in (404, 409)


def test_a_damaged_journal_is_told_in_one_line(tmp_path: Path):
    dataset = small_dataset.make_dataset(tmp_path / "d", songs=1, settings=1, seconds=0.5)
    dataset.journal_path.write_bytes(b"not a database" * 100)
    assert "journal.sqlite cannot be read" in PanelState(dataset).read()["trouble"]


def test_no_more_than_a_few_pages_are_served_at_once(served: Served, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(panel_server, "MOST_VIEWERS", 0)
    assert served.ask("GET", "/events")[0] == 503


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "0.0.0.0"], "another address than this computer's own needs a token, got 0.0.0.0"),
        (["--host", "0.0.0.0", "--token", "short"], "the token is too short, got 5 characters"),
        (["--host", "203.0.113.9", "--token", "x" * 16], "nothing can listen at 203.0.113.9"),
    ],
)
def test_another_address_needs_a_token_of_some_length(served: Served, words: list[str], told: str):
    answer = CliRunner().invoke(main, ["panel", *words, "--dataset", str(served.dataset.root)])
    assert answer.exit_code == 2
    assert told in answer.output


def test_a_port_that_was_asked_for_by_number_is_not_exchanged(served: Served):
    line = ["panel", "--port", str(served.port), "--dataset", str(served.dataset.root)]
    answer = CliRunner().invoke(main, line)
    assert answer.exit_code == 2
    assert f"nothing can listen at 127.0.0.1:{served.port}" in answer.output


def test_the_command_prints_a_link_that_works_and_ends_with_whoever_started_it(served: Served):
    line = [sys.executable, "-m", "buscomp", "panel", "--child", "--host", "0.0.0.0"]
    environment = {"PATH": "/usr/bin:/bin", "BUSCOMP_PANEL_TOKEN": "correct horse battery"}
    with subprocess.Popen(
        [*line, "--dataset", str(served.dataset.root)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stderr is not None
        assert process.stdin is not None
        link = re.search(r"http://(\S+):(\d+)/#key=(\S+)", process.stderr.readline().decode())
        assert link is not None
        assert "not encrypted" in process.stderr.readline().decode()
        other = Served(served.dataset, Door(), int(link[2]), "")
        for key in (link[3], "correct horse battery", "correct horse battery"):
            for _ in range(100):
                try:
                    status = other.ask("POST", "/login", {"key": key})[0]
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            assert status == 200
        assert other.ask("POST", "/login", {"key": link[3]})[0] == 403
        process.stdin.close()
        assert process.wait(20) == 0
