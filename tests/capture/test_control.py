"""What an operator asks of a daemon, by verbs and by signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from buscomp.capture.control import BOUNCE_S, GO, PAUSE, REQUEST, STOP, Control, request, requested
from buscomp.manifests.dataset import Dataset


@pytest.fixture
def empty(tmp_path: Path) -> Dataset:
    return Dataset(tmp_path)


def interrupt(number: int = signal.SIGINT) -> None:
    """A signal to this process, and time for Python to hear it."""
    os.kill(os.getpid(), number)
    time.sleep(0.01)


def test_nothing_is_wanted_but_to_go_on_until_somebody_asks(empty: Dataset) -> None:
    control = Control(empty)
    heard = [control.wanted()]
    for word in (PAUSE, STOP, GO):
        request(empty, word)
        heard.append(control.wanted())
    assert heard == ["go", "pause", "stop", "go"]


def test_a_request_lies_in_the_dataset_whole_and_a_word_that_means_nothing_is_no_request(empty: Dataset) -> None:
    request(empty, PAUSE)
    assert [path.name for path in empty.root.iterdir()] == [REQUEST]
    (empty.root / REQUEST).write_bytes(b"\xff\x00dance")
    assert requested(empty) == GO


def test_requests_for_an_earlier_daemon_are_forgotten_when_one_begins_and_when_it_ends(empty: Dataset) -> None:
    request(empty, STOP)
    control = Control(empty)
    with control.signals():
        assert control.wanted() == GO
        request(empty, PAUSE)
        assert control.wanted() == PAUSE
    assert list(empty.root.iterdir()) == []


def test_ctrl_c_once_is_a_stop_after_this_take_and_says_so_in_one_line(
    empty: Dataset, capfd: pytest.CaptureFixture[str]
) -> None:
    control = Control(empty)
    with control.signals():
        interrupt()
        assert control.wanted() == STOP
    assert capfd.readouterr().err.strip() == "Stopping after the take in progress. Ctrl-C again stops now."


def test_ctrl_c_twice_interrupts_now(empty: Dataset) -> None:
    control = Control(empty)
    with control.signals():
        interrupt()
        time.sleep(BOUNCE_S)
        with pytest.raises(KeyboardInterrupt):
            interrupt()


def test_one_press_that_a_wrapper_passes_on_a_second_time_counts_once(empty: Dataset) -> None:
    control = Control(empty)
    with control.signals():
        interrupt()
        interrupt()
        assert control.wanted() == STOP


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_sighup_interrupt_now_and_once(empty: Dataset, number: int) -> None:
    control = Control(empty)
    with control.signals():
        with pytest.raises(KeyboardInterrupt):
            interrupt(number)
        interrupt(number)  # in the clean-up that follows
        assert control.wanted() == STOP


def test_ctrl_c_while_a_person_is_waited_for_interrupts_at_once(empty: Dataset) -> None:
    control = Control(empty)
    with control.signals(), pytest.raises(KeyboardInterrupt), control.interruptible():
        interrupt()


def test_a_stop_that_was_wanted_before_a_person_is_asked_spares_the_question(empty: Dataset) -> None:
    control = Control(empty)
    with control.signals():
        interrupt()
        with pytest.raises(KeyboardInterrupt), control.interruptible():
            pytest.fail("nobody is asked any more")


def test_a_stop_requested_while_a_read_blocks_ends_the_read(empty: Dataset) -> None:
    control = Control(empty)
    silent, _open = os.pipe()
    asking = threading.Timer(0.05, request, (empty, STOP))
    try:
        with control.signals():
            asking.start()
            began = time.monotonic()
            with pytest.raises(KeyboardInterrupt), control.interruptible():
                os.read(silent, 1)
            assert time.monotonic() - began < 5
    finally:
        asking.join()
        os.close(silent)
        os.close(_open)


def test_the_handlers_of_before_are_back_afterwards(empty: Dataset) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Control(empty).signals():
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_what_nohup_ignores_stays_ignored(empty: Dataset) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        control = Control(empty)
        with control.signals():
            interrupt(signal.SIGHUP)
            assert control.wanted() == GO
    finally:
        signal.signal(signal.SIGHUP, before)


def test_requests_are_heard_on_a_thread_that_may_not_have_signals(empty: Dataset) -> None:
    heard = []

    def serve() -> None:
        control = Control(empty)
        with control.signals(), control.interruptible():
            request(empty, PAUSE)
            heard.append(control.wanted())

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert heard == [PAUSE]


HOLD = """
import sys, time
from buscomp.manifests.dataset import Dataset
with Dataset(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_daemon_that_is_killed_leaves_no_lock_and_while_it_lives_it_is_named(empty: Dataset) -> None:
    from buscomp.capture.daemon_state import holder_of
    from buscomp.manifests.errors import UsageError

    with subprocess.Popen([sys.executable, "-c", HOLD, str(empty.root)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert holder_of(empty).startswith(f"process {holder.pid} on ")
        with pytest.raises(UsageError, match=f"in use by process {holder.pid} on .* since 20"), empty.lock():
            pytest.fail("two holders of one dataset")
        holder.send_signal(signal.SIGKILL)
    assert (empty.root / ".lock-holder").exists(), "what the killed one left"
    assert holder_of(empty) == ""
    with empty.lock():
        assert holder_of(empty).startswith(f"process {os.getpid()} on ")
