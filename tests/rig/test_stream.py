"""`buscomp stream --device` on the rig: what a program plays through it comes back as the model makes it."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from buscomp.tests.rig.rig import PERIOD, SAMPLE_RATE
from buscomp.tests.rig.streams import plucks
from buscomp.tests.small_dataset import make_dataset
from buscomp.trainer.checkpoint import load_model
from buscomp.trainer.knobs import Knobs
from buscomp.trainer.streaming import Stream
from buscomp.trainer.train import train

pytestmark = [pytest.mark.rig, pytest.mark.slow]
# A client that takes the device's place: it feeds the stream's inputs and records its outputs.
FEED = """
import json, queue, sys, threading, time
import jack, numpy as np
path, seconds = sys.argv[1], float(sys.argv[2])
jack.set_error_function(lambda message: None); jack.set_info_function(lambda message: None)
client = jack.Client("feed", no_start_server=True)
sound = np.load(path)
outs = [client.outports.register(f"out{i}") for i in range(2)]
ins = [client.inports.register(f"in{i}") for i in range(2)]
got = np.zeros((len(sound), 2), np.float32); at = 0; begun = threading.Event(); over = threading.Event()
@client.set_process_callback
def process(frames):
    global at
    for out in outs: out.get_array()[:] = 0
    if not begun.is_set() or over.is_set(): return
    n = min(frames, len(sound) - at)
    for i in range(2):
        outs[i].get_array()[:n] = sound[at:at + n, i]
        got[at:at + n, i] = ins[i].get_array()[:n]
    at += n
    if at == len(sound): over.set()
with client:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        theirs = [port.name for port in client.get_ports("PortAudio:.*|python.*:.*")]
        if len(theirs) >= 4: break
        time.sleep(0.05)
    take = sorted(port.name for port in client.get_ports(is_input=True, is_audio=True) if port.name in theirs)
    give = sorted(port.name for port in client.get_ports(is_output=True, is_audio=True) if port.name in theirs)
    for i in range(2):
        for other in client.get_all_connections(take[i]): client.disconnect(other, take[i])
        client.connect(outs[i], take[i])
        for other in client.get_all_connections(give[i]): client.disconnect(give[i], other)
        client.connect(give[i], ins[i])
    time.sleep(0.3)
    begun.set()
    over.wait(seconds)
np.save(path.replace("sent", "got"), got)
"""


def test_live_sound_equals_the_stream_offline_and_a_typed_line_turns_a_knob(start_rig, tmp_path):
    """In synchronous mode nothing is lost, and what returns lies whole periods late. The knob turns afterwards, because
    its moment is not known to the sample."""
    start_rig(thr=0, rat=1)
    dataset = make_dataset(tmp_path / "dataset", seconds=1.0)
    run = train(dataset, model="s4-4-4", conditioning="tvfilm", steps=8, batch=2, chunk_frames=2048, clip_chunks=4)
    model, _ = load_model(run)
    torch.set_num_threads(1)
    knobs = Knobs(dataset.unit)
    offline = Stream(model, knobs.vector(), channels=2)  # also fills the cache of compiled code
    sound = np.concatenate([plucks(2.0), np.zeros((2 * PERIOD, 2), np.float32)])
    np.save(tmp_path / "sent.npy", sound)
    words = ["stream", run.folder.name, "--device", "fireface", "--dataset", str(dataset.root), "--json"]
    live = subprocess.Popen(
        [sys.executable, "-m", "buscomp", *words, "--seconds", "60"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert live.stderr is not None
        begins = iter(live.stderr.readline, "")  # its ports are there before it plays
        assert any("Ctrl-C ends it." in line for line in begins)
        told = subprocess.run(
            [sys.executable, "-c", FEED, str(tmp_path / "sent.npy"), "30"], capture_output=True, text=True, timeout=90
        )
        assert told.returncode == 0, told.stderr
        assert live.stdin is not None
        live.stdin.write("threshold_db=-40\nthreshold_db=loud\n")
        live.stdin.flush()
        time.sleep(0.5)
        live.send_signal(2)
        out, err = live.communicate(timeout=30)
    finally:
        live.kill()
        live.wait()
    assert live.returncode == 0, err
    assert "threshold_db=-40 attack_ms=3" in err
    assert "threshold_db cannot stand there, got loud" in err
    document = json.loads(out)
    assert document["frames"] > len(sound)
    got = np.load(tmp_path / "got.npy")
    # The stream has heard silence for an unknown number of periods: its state is that of long silence, and blocks of
    # 128 frames begin with the sound, since a period is 8 of them.
    best = min(_difference(offline, sound, got, periods) for periods in (20, 40, 80))
    assert best < 1e-4


def _difference(offline: Stream, sound, got, periods: int) -> float:
    """How far what came back is from the offline stream after `periods` of silence, relative, at the best lag."""
    offline.reset()
    offline.process(np.zeros((periods * PERIOD, 2), np.float32))
    expected = offline.process(sound)
    lags = range(0, 3 * PERIOD + 1, PERIOD)
    return min(float(np.abs(got[lag:] - expected[: len(got) - lag]).max() / np.abs(expected).max()) for lag in lags)


def test_a_device_that_is_not_there_is_named_in_one_line(start_rig, tmp_path):
    start_rig()
    dataset = make_dataset(tmp_path / "dataset", seconds=1.0)
    train(dataset, model="lstm-32", conditioning="concat", steps=1, batch=2, chunk_frames=2048, clip_chunks=2)
    words = ["stream", "lstm-32-concat", "--device", "babyface", "--dataset", str(dataset.root)]
    told = subprocess.run([sys.executable, "-m", "buscomp", *words], capture_output=True, text=True)
    assert told.returncode == 2
    assert "no such audio device, got babyface" in told.stderr
    assert "fireface" in told.stderr
    assert "Traceback" not in told.stderr


def test_the_sample_rate_of_the_server_must_be_the_models(start_rig, tmp_path):
    start_rig(sample_rate=48_000)
    dataset = make_dataset(tmp_path / "dataset", seconds=1.0)
    train(dataset, model="lstm-32", conditioning="concat", steps=1, batch=2, chunk_frames=2048, clip_chunks=2)
    words = ["stream", "lstm-32-concat", "--device", "fireface", "--dataset", str(dataset.root)]
    told = subprocess.run([sys.executable, "-m", "buscomp", *words], capture_output=True, text=True)
    assert told.returncode == 1
    assert f"got 48000 Hz on the device (allowed: {SAMPLE_RATE} Hz, of the model)" in told.stderr
