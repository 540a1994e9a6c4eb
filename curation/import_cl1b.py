"""CL-1B and LA-2A of Simionato and Fasciani: pickles of arrays.

    <dataset>_train.pickle, <dataset>_test.pickle     dictionaries: x (1 or n, samples), y (n, samples), z controls

The rate, the order of the controls and their units are in no file: you say them. Files are read by an unpickler that
admits arrays and plain containers only.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..manifests.cells import SEEN, UNSEEN
from ..manifests.decode import SongRefusedError
from ..manifests.errors import DatasetError, UsageError
from ..manifests.finding import INVALID, Finding
from ..manifests.ids import id_from_name
from ..manifests.pcm import Float32
from ..manifests.unit import Position
from .import_layout import Layout, SourceSong, SourceTake
from .imported_unit import Knob, Profile
from .restricted_pickle import read_arrays

KEYS = (("x", "y", "z"),)
RANGES: dict[str, tuple[float, float, str]] = {  # of the unit, where a name claims a unit of measure
    "threshold_db": (-40, 0, "dB"),
    "attack_ms": (0.5, 300, "ms"),
    "release_s": (0.005, 10, "s"),
    "ratio": (1, 10, ""),
    "peak_reduction": (0, 100, ""),
}
ROLE_OF = {"train": SEEN, "test": UNSEEN}


@dataclass(frozen=True)
class Row:
    """One signal in a pickle."""

    path: Path
    key: str
    row: int
    samples: npt.NDArray[np.floating]  # (frames,)
    sample_rate: int

    @property
    def name(self) -> str:
        return f"{self.path.name}: {self.key}[{self.row}]"

    def read(self) -> tuple[Float32, int]:
        audio = np.asarray(self.samples, np.float32)[:, None]
        if not np.isfinite(audio).all():
            raise SongRefusedError("not_finite: it holds NaN or infinite samples")
        return audio, self.sample_rate


def read_cl1b(
    source: Path,
    *,
    sample_rate: int | None = None,
    controls: Sequence[str] | None = None,
    keys: Sequence[str] | None = None,
) -> Layout:
    """What the pickles in `source` (a folder, or one of them) hold.

    `sample_rate` Hz and the names of the `controls`, in the order of the columns of z, are yours to say; a name with a
    unit, such as attack_ms, claims that unit. `keys`: how the dictionary calls dry, wet and controls, if not x, y, z.
    """
    if sample_rate is None:
        raise UsageError("the pickles do not say their sample rate", mend="say it: --rate 48000")
    if not controls:
        raise UsageError(
            "the pickles do not say what their controls are",
            mend="name them in order, with a unit only if you know it: --controls ratio,threshold,attack,release",
        )
    files = [source] if source.is_file() else sorted([*source.glob("*.pickle"), *source.glob("*.pkl")])
    if not files:
        raise UsageError(f"no pickles in {source}", allowed="*.pickle, *.pkl")
    profile = _profile(controls)
    songs: dict[str, SourceSong] = {}
    takes: list[SourceTake] = []
    findings: list[Finding] = []
    for path in files:
        dry, wet, settings = _arrays(path, keys, len(controls))
        role = next((role for word, role in ROLE_OF.items() if word in re.split(r"[_\W]", path.stem.lower())), None)
        by_content: dict[str, str] = {}
        for row in range(len(wet)):
            place = 0 if len(dry) == 1 else row
            content = hashlib.sha256(np.ascontiguousarray(dry[place]).data).hexdigest()
            song_id = by_content.get(content)
            if song_id is None:  # the same signal may stand in many rows, once for every setting
                song_id = by_content[content] = id_from_name(f"{path.stem}-{place}")
                song = SourceSong(song_id, f"{path.stem} {place}", Row(path, "dry", place, dry[place], sample_rate))
                if songs.setdefault(song_id, song) is not song:
                    raise UsageError(f"two files fold to one id, {song_id}", mend="import them one by one")
            values: dict[str, Position] = dict(zip(profile.controls, map(float, settings[row]), strict=True))
            audio = Row(path, "wet", row, wet[row], sample_rate)
            wrong = profile.out_of_range(values) if np.isfinite(settings[row]).all() else "controls that are no numbers"
            if wrong:
                mend = "; a name without a unit claims none" if any(name in RANGES for name in controls) else ""
                findings.append(Finding(INVALID, audio.name, wrong + mend))
            else:
                name = "_".join(f"{value:g}" for value in settings[row])
                takes.append(SourceTake(song_id, name, values, audio, song_role=role))
    return Layout(
        f"{profile.title}: {', '.join(path.stem for path in files)}",
        profile.with_positions(take.values for take in takes),
        list(songs.values()),
        takes,
        sample_rate,
        channels=(1,),
        findings=findings,
        in_one_process=True,
    )


def _profile(controls: Sequence[str]) -> Profile:
    """Controls as the user names them; positions are as given."""
    if len(set(controls)) != len(controls):
        raise UsageError("two controls have the same name", got=",".join(controls))
    knobs: dict[str, Knob] = {}
    for place, name in enumerate(controls):
        if not name.isidentifier() or not name.islower():
            raise UsageError("a control's name is lower case letters, digits and _", got=name)
        low, high, unit = RANGES.get(name, (None, None, ""))
        short = "".join(c for c in name if c.isalpha())[:3]
        if any(knob.short == short for knob in knobs.values()):
            short += "abcdefghijklmnopqrstuvwxyz"[place % 26]
        meaning = "as named by the importer; position as given" if low is None else "as named by the importer"
        knobs[name] = Knob(label=name.upper(), short=short, unit=unit, meaning=meaning, low=low, high=high)
    title = "Optical dynamic range compressors"
    return Profile(title=title, make="unknown", model="optical compressor", controls=knobs)


def _arrays(path: Path, keys: Sequence[str] | None, controls: int) -> tuple[Any, Any, Any]:
    """dry (1 or n, samples), wet (n, samples) and controls (n, k) of one pickle. `DatasetError` for other shapes."""
    held = read_arrays(path)
    wanted = tuple(keys) if keys else next((names for names in KEYS if set(names) <= set(held)), None)
    if wanted is None or not set(wanted) <= set(held) or len(wanted) != 3:
        raise UsageError(
            f"{path.name} has other keys",
            got=", ".join(sorted(held)),
            mend="name three of them: --keys DRY,WET,CONTROLS",
        )
    dry, wet, settings = (np.atleast_2d(np.asarray(held[name])) for name in wanted)
    for name, array in zip(wanted, (dry, wet, settings), strict=True):
        if array.ndim == 3 and 1 in array.shape:
            raise DatasetError(f"{path.name}: {name} has three axes", got=array.shape, allowed="(rows, samples)")
        if array.ndim != 2 or not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
            raise DatasetError(f"{path.name}: {name} must be numbers in two axes", got=f"{array.dtype} {array.shape}")
    rows = len(wet)
    if len(dry) not in (1, rows) or dry.shape[1] != wet.shape[1]:
        raise DatasetError(f"{path.name}: dry does not fit wet", got=f"{dry.shape} and {wet.shape}")
    fits = [shape for shape in ((rows, controls), (controls, rows)) if settings.shape == shape]
    if not fits:
        raise DatasetError(
            f"{path.name}: controls do not fit", got=settings.shape, allowed=f"{(rows, controls)} or {(controls, rows)}"
        )
    if rows == controls:
        raise DatasetError(f"{path.name}: {rows} takes and {controls} controls, so either axis may be the takes")
    return dry, wet, settings if settings.shape == (rows, controls) else settings.T
