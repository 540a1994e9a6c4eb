"""A person at the rack of the rig: makes a dataset folder, types the command, turns the knobs that it asks for."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buscomp.curation.demo_songs import DEMO_SONGS, render_song
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.pcm import quantise, write_wav
from buscomp.manifests.unit import Position
from buscomp.tests.rig.rig import SAMPLE_RATE, Rig

KNOBS = {"THRESHOLD": "thr", "RATIO": "rat", "ATTACK": "att", "RELEASE": "rel", "KNEE": "kn", "MAKEUP": "mak"}
UNIT = """\
make: Zam
model: ZamCompX2
controls:
  threshold_db: {label: THRESHOLD, kind: pot, short: thr, unit: dB, meaning: threshold, positions: [-36, -30, -24, -18]}
  ratio: {label: RATIO, kind: pot, short: rat, meaning: "ratio, to 1", positions: [2, 4, 8], scale: log}
  attack_ms: {label: ATTACK, kind: pot, short: att, unit: ms, meaning: attack time, positions: [1, 10], scale: log}
  release_ms: {label: RELEASE, kind: pot, short: rel, unit: ms, meaning: release time, positions: [50, 200], held: 50}
  knee_db: {label: KNEE, kind: pot, short: kn, unit: dB, meaning: knee width, positions: [0, 3], held: 3}
  makeup_db: {label: MAKEUP, kind: pot, short: mak, unit: dB, meaning: make-up gain, positions: [0, 6], held: 0}
"""
ONE_SETTING = """\
unit: unit.yaml
factors:
  threshold_db: [-24]
  ratio: [4]
  attack_ms: [1]
expect: 1
fingerprint: false
"""
Running = subprocess.Popen[str]


@dataclass
class Run:
    """One run of the command, as the operator saw it."""

    exit_status: int
    visited: list[str]  # setting_ids, as the panel asked for them
    output: str


def make_folder(root: Path, songs: int, seconds: float, grid: str) -> Path:
    """A dataset folder as a user makes it: songs, unit, grid."""
    for song in DEMO_SONGS[:songs]:
        write_wav(root / "songs" / f"{song.name}.wav", quantise(render_song(song, seconds)), SAMPLE_RATE)
    (root / "unit.yaml").write_text(UNIT)
    (root / "grid.yaml").write_text(grid)
    return root


def operate(
    rig: Rig,
    root: Path,
    after_enter: Callable[[Running, list[str]], None] = lambda *_: None,
    turn: Callable[[str, float], float] = lambda knob, value: value,
    words: tuple[str, ...] = (),
    device: str = "fireface",
) -> Run:
    """Type the command (and `words`), and turn the knobs that it asks for. `after_enter` gets the running command and
    the settings that were visited, each time the operator has pressed Enter. `turn` is how the hand misses: where it
    puts a knob of the plugin that it should put to a value."""
    visited: list[str] = []
    printed: list[str] = []
    knobs: dict[str, float] = {}
    notes = root.parent / "notes.txt"
    command = [sys.executable, "-m", "buscomp", "capture", "--device", device, "--grid", "grid.yaml", *words]
    with (
        notes.open("w") as stderr,
        subprocess.Popen(
            command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            if asked := re.match(r"==> Set the unit to (\S+)", line):
                visited.append(asked[1])
            elif turned := re.match(r" {6}(\S+) +(-?[\d.]+)", line):
                knob = KNOBS[turned[1]]
                knobs[knob] = turn(knob, float(turned[2]))
            elif "Press Enter" in line:
                rig.knob(**knobs)
                knobs.clear()
                process.stdin.write("\n")
                process.stdin.flush()
                after_enter(process, visited)
        process.wait()
    return Run(process.returncode, visited, "".join(printed) + notes.read_text())


def takes_of(root: Path) -> list[dict[str, Any]]:
    with Dataset(root).journal() as journal:
        return journal.takes()


def buscomp(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "buscomp", *words], cwd=root, capture_output=True, text=True)


def plugin_controls(values: Mapping[str, Position]) -> dict[str, float]:
    """A setting as the plugin names its knobs."""
    return {KNOBS[name.partition("_")[0].upper()]: float(value) for name, value in values.items()}
