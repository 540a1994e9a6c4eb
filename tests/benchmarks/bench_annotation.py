"""How often tempo and key are right on the untouched test part, how sure, how fast, and how they err: every backend.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_annotation.py [--cache FOLDER] [--sources UNPACKED] [--backend NAME]

All backends of `buscomp annotate` that give tempo or key and are installed, librosa as it comes, and mixxx-analyzer
where it is installed. TempoCNN and KeyCNN need weights that were converted (`buscomp annotate --convert`). Every
backend hears the same clips in the same run, as one channel at 44.1 kHz. Answers are kept in the cache by the
backend's version, so that a run that was cut off goes on; `--again` hears anew.

CPU time is that of this process and its children, of tempo and key together where a backend gives both at once; the
first clip, which loads libraries and weights, is heard twice. What the clips are: `known_songs.py`.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from buscomp.annotation.backend import BACKENDS, Backend, Choice, create, installed
from buscomp.annotation.key import MODES
from buscomp.manifests.errors import UsageError
from buscomp.manifests.storage import write_text
from buscomp.tests.benchmarks.annotation_scores import (
    KEY_KINDS,
    TEMPO_KINDS,
    Answer,
    auroc,
    interval,
    key_kind,
    key_points,
    median_where_right,
    tempo_kind,
)
from buscomp.tests.benchmarks.known_songs import ALONE, SECONDS, untouched_part
from buscomp.tests.benchmarks.peers import Librosa, Mixxx
from buscomp.tests.benchmarks.render_songs import add_places
from buscomp.tests.benchmarks.rendering import Clip, Sources

WEIGHTS = {"tempocnn": ("fcn", "cnn", "deeptemp_k8"), "keycnn": ("deepspec_k16", "deepsquare_k8")}
FIELDS = ("tempo_bpm", "key")
Answers = dict[str, dict[str, Answer]]  # by field, by the name of the clip's file
Row = list[str]


def backends() -> tuple[list[Backend], list[str]]:
    """Every backend that can be judged here, and why others cannot."""
    found: list[Backend] = []
    absent: list[str] = []
    for name, entry in BACKENDS.items():
        if not set(entry.gives) & set(FIELDS):
            continue
        for choice in [Choice(name, (("weights", w),)) for w in WEIGHTS.get(name, ())] or [Choice(name)]:
            if not installed(entry):
                absent.append(f"{name}: not installed ({entry.mend})")
                break
            try:
                backend = create(choice)
                _ = backend.version  # reads the weights
            except UsageError as error:
                absent.append(f"{name}: {error}")
                continue
            found.append(backend)
    found.append(Librosa())
    if find_spec("mixxx_analyzer"):
        found.append(Mixxx())
    else:
        absent.append("mixxx-analyzer: not installed (pip install mixxx-analyzer)")
    return found, absent


def answers(backend: Backend, clips: Sequence[Clip], cache: Path, again: bool) -> Answers:
    """What `backend` says of each clip of which it may know something."""
    kept = cache / "answers" / f"{backend.name}-{backend.version}.json"
    known: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() and not again else {}
    warm = False
    for place, clip in enumerate(tqdm(clips, backend.name, disable=None, leave=False)):
        if clip.path.stem in known or not wanted(backend, clip):
            continue
        audio, rate = clip.read()
        stereo = audio[:, np.newaxis]
        if not warm:
            backend.annotate(stereo, rate)
            warm = True
        began = _cpu_s()
        said = backend.annotate(stereo, rate)
        spent = _cpu_s() - began
        known[clip.path.stem] = {field: [value.value, value.confidence, spent] for field, value in said.items()}
        if place % 10 == 9:
            write_text(kept, json.dumps(known))
    write_text(kept, json.dumps(known))
    return {
        field: {name: Answer(*said[field]) for name, said in known.items() if field in said} for field in backend.gives
    }


def wanted(backend: Backend, clip: Clip) -> bool:
    """Whether anything that the backend gives is known of the clip."""
    return bool(("tempo_bpm" in backend.gives and clip.bpm) or ("key" in backend.gives and clip.key))


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def tempo_row(clips: Sequence[Clip], said: dict[str, Answer]) -> Row:
    """Of clips of known tempo: n, Acc1, Acc2, error of right answers, AUROC, speed."""
    kinds = [tempo_kind(clip.bpm or 0, _number(said[clip.path.stem])) for clip in clips]
    right = [float(kind == "right") for kind in kinds]
    octave = [float(kind not in ("other", "none")) for kind in kinds]
    errors = [abs((_number(said[clip.path.stem]) or 0) - (clip.bpm or 0)) for clip in clips]
    return [
        str(len(clips)),
        _shown(interval(_mean, right)),
        _shown(interval(_mean, octave)),
        _shown(interval(median_where_right, right, errors)),
        *_sure_and_fast(right, [said[clip.path.stem] for clip in clips]),
    ]


def key_row(clips: Sequence[Clip], said: dict[str, Answer]) -> Row:
    """Of clips of known key: n, weighted, exact, exact of major and of minor ones, AUROC, speed."""
    told = [_key(said[clip.path.stem]) for clip in clips]
    points = [key_points(clip.key or "", key) for clip, key in zip(clips, told, strict=True)]
    right = [float(key_kind(clip.key or "", key) == "right") for clip, key in zip(clips, told, strict=True)]
    by_mode = [[r for r, clip in zip(right, clips, strict=True) if (clip.key or "").endswith(m)] for m in MODES]
    return [
        str(len(clips)),
        _shown(interval(_mean, points)),
        _shown(interval(_mean, right)),
        *(f"{np.mean(these):.3f} ({len(these)})" if these else "-" for these in by_mode),
        *_sure_and_fast(right, [said[clip.path.stem] for clip in clips]),
    ]


def _sure_and_fast(right: Sequence[float], said: Sequence[Answer]) -> Row:
    sure = [answer.confidence for answer in said]
    known = [0.0 if value is None else value for value in sure]
    shown = _shown(interval(auroc, right, known)) if any(value is not None for value in sure) else "-"
    return [shown, f"{np.mean([answer.cpu_s for answer in said]) / SECONDS:.5f}"]


def tempo_biases(clips: Sequence[Clip], said: dict[str, Answer]) -> Row:
    """The share of each of `TEMPO_KINDS`."""
    kinds = [tempo_kind(clip.bpm or 0, _number(said[clip.path.stem])) for clip in clips]
    return [str(len(kinds)), *(f"{kinds.count(kind) / len(kinds):.3f}" for kind in TEMPO_KINDS)]


def key_biases(clips: Sequence[Clip], said: dict[str, Answer], mode: str) -> Row:
    """The share of each of `KEY_KINDS` among clips of that mode."""
    these = [clip for clip in clips if (clip.key or "").endswith(mode)]
    kinds = [key_kind(clip.key or "", _key(said[clip.path.stem])) for clip in these]
    return [str(len(kinds)), *(f"{kinds.count(kind) / max(1, len(kinds)):.3f}" for kind in KEY_KINDS)]


def _number(answer: Answer) -> float | None:
    return None if answer.value is None else float(answer.value)


def _key(answer: Answer) -> str | None:
    return None if answer.value is None else str(answer.value)


def _mean(values: Any) -> float:
    return float(np.mean(values))


def _shown(found: tuple[float, float, float]) -> str:
    value, low, high = (f"{number:.3f}" for number in found)
    return "-" if not np.isfinite(found[0]) else f"{value} [{low}, {high}]"


def show(title: str, head: Sequence[str], rows: Sequence[Row]) -> None:
    """Print a table of Markdown."""
    print(f"\n{title}\n")
    for row in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(row) + " |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_places(parser)
    parser.add_argument("--backend", action="append", help="only these, by the name that they record")
    parser.add_argument("--again", action="store_true", help="keep no answer of an earlier run")
    given = parser.parse_args()
    part = untouched_part(given.cache, Sources(tuple(given.sources)), given.jobs)
    found, absent = backends()
    judged = [
        (backend, answers(backend, part.clips, given.cache, given.again))
        for backend in found
        if not given.backend or backend.name in given.backend
    ]
    tables(part.clips, judged)
    print()
    for line in [*(f"left out: {line}" for line in part.missing), *(f"not judged: {line}" for line in absent)]:
        print(line)


def tables(clips: Sequence[Clip], judged: Sequence[tuple[Backend, Answers]]) -> None:
    """Print accuracy, by all songs and by group, then biases."""
    mixes = [clip for clip in clips if clip.group != ALONE]
    tempi, keys = [c for c in mixes if c.bpm], [c for c in mixes if c.key]
    for_tempo = [(backend.name, said["tempo_bpm"]) for backend, said in judged if "tempo_bpm" in said]
    for_key = [(backend.name, said["key"]) for backend, said in judged if "key" in said]
    ends = ["AUROC", "CPU s per s"]
    head = ["backend", "n", "Acc1", "Acc2", "error when right, BPM", *ends]
    show("Tempo, all mixes", head, [[name, *tempo_row(tempi, said)] for name, said in for_tempo])
    head = ["backend", "n", "weighted", "exact", "major (n)", "minor (n)", *ends]
    show("Key, all mixes", head, [[name, *key_row(keys, said)] for name, said in for_key])
    groups = list(dict.fromkeys(clip.group for clip in clips))
    for what, judges, pick in (("Tempo, Acc1 / Acc2", for_tempo, "bpm"), ("Key, weighted / exact", for_key, "key")):
        by_group = {g: [c for c in clips if c.group == g and getattr(c, pick)] for g in groups}
        named = {group: these for group, these in by_group.items() if these}
        columns = ["backend", *(f"{group} (n {len(these)})" for group, these in named.items())]
        rows = [[name, *(_pair(these, said, pick) for these in named.values())] for name, said in judges]
        show(f"{what}, by group", columns, rows)
    show(
        "Tempo: kinds of answers", ["backend", "n", *TEMPO_KINDS], [[n, *tempo_biases(tempi, s)] for n, s in for_tempo]
    )
    for mode in MODES:
        rows = [[name, *key_biases(keys, said, mode)] for name, said in for_key]
        show(f"Key: kinds of answers, songs in {mode}", ["backend", "n", *KEY_KINDS], rows)


def _pair(clips: Sequence[Clip], said: dict[str, Answer], pick: str) -> str:
    columns: tuple[Callable[[Clip], float], Callable[[Clip], float]]
    if pick == "bpm":
        columns = (
            lambda clip: tempo_kind(clip.bpm or 0, _number(said[clip.path.stem])) == "right",
            lambda clip: tempo_kind(clip.bpm or 0, _number(said[clip.path.stem])) not in ("other", "none"),
        )
    else:
        columns = (
            lambda clip: key_points(clip.key or "", _key(said[clip.path.stem])),
            lambda clip: key_kind(clip.key or "", _key(said[clip.path.stem])) == "right",
        )
    return " / ".join(f"{np.mean([column(clip) for clip in clips]):.3f}" for column in columns)


if __name__ == "__main__":
    main()
