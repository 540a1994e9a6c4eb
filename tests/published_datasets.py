"""Small trees with the layouts of published datasets, for the importers: names as they are there, the audio made up."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

from buscomp.manifests.decode import decode
from buscomp.manifests.pcm import Float32
from buscomp.tests.small_dataset import music

SECONDS = 1.2


def decode_here(patch: pytest.MonkeyPatch) -> None:
    """Decode in this process: a child for every file is what `test_decode` is about, and most of the time here."""
    patch.setattr("buscomp.curation.import_layout.decode_in_child", decode)


def song(number: int, sample_rate: int, channels: int = 2) -> Float32:
    """Dry audio `(frames, channels)`, another one for every number."""
    return music(SECONDS, sample_rate, tempo_bpm=97 + 8 * number, tonic_hz=110 * 2 ** (number / 12))[:, :channels]


def through_a_unit(dry: Float32, depth: float = 0.5) -> Float32:
    """`dry` with a gain that falls with its level of the last 10 ms, by `depth` dB for every dB above -40 dBFS."""
    level = scipy.signal.lfilter([1 / 441], [1, -440 / 441], np.abs(dry).mean(axis=1))
    return np.asarray(dry * np.minimum(1, (0.01 / np.maximum(level, 1e-6)) ** depth)[:, None], np.float32)


def write(path: Path, audio: Float32, sample_rate: int, subtype: str = "PCM_24") -> None:
    """One file of the tree."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, sample_rate, subtype)


def bus_comp(root: Path, settings: tuple[str, ...] = ("-28_0.1_0.4_4", "-13.5_7.5_auto_1.5"), songs: int = 2) -> Path:
    """Solid State Bus-Comp: 44.1 kHz stereo. Settings as `threshold_attack_release_ratio`."""
    for number in range(songs):
        dry = song(number, 44_100)
        write(root / "processed_normalized" / f"Blue Sky {number}_UnmasteredWAV.wav", dry, 44_100)
        for setting in settings:
            name = "threshold_{}_attack_{}_release_{}_ratio_{}".format(*setting.split("_"))
            wet = through_a_unit(dry, 1 - 1 / float(setting.split("_")[-1]))
            write(root / "processed_ground_truth" / name / f"Blue Sky {number}-exported.wav", wet, 44_100)
    return root


SIGNALTRAIN = {
    "Train": ["138_LA2A_2c__0__65", "152_LA2A_3c__0__70"],
    "Val": ["153_LA2A_3c__1__80"],
    "Test": ["235_LA2A_3c__0__65"],
}


def signaltrain(root: Path, late_samples: int = 0) -> Path:
    """SignalTrain LA2A: 44.1 kHz mono, one input for every target. `late_samples`: of number 152, as in version 1.0."""
    for folder, names in SIGNALTRAIN.items():
        for name in names:
            number = name.partition("_")[0]
            dry = song(int(number) % 12, 44_100, 1)
            wet = through_a_unit(dry)
            if number == "152" and late_samples:
                wet = np.concatenate([np.zeros((late_samples, 1), np.float32), wet[:-late_samples]])
            write(root / folder / f"input_{number}_.wav", dry, 44_100, "PCM_16")
            write(root / folder / f"target_{name}.wav", wet, 44_100, "PCM_16")
    return root


def tonetwist(root: Path) -> Path:
    """ToneTwist AFx: 48 kHz mono float, one internal unit and one external with two knobs R and a word."""
    units: dict[tuple[str, str, str], dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
        ("ANALOG", "DRY-with-markers", "Ampeg-OptoComp"): {
            "trainval": (("C100_R100_L060", "C050_R000_L060"), ("1", "11")),
            "test": (("C100_R100_L060",), ("2",)),
        },
        ("EXTERNAL/mmramirez-audiomdpi/UA-6176VintageChannelStrip", "DRY", "1176LN-Limiter"): {
            "test": (("A100_R100_I040_O070_RAll",), ("bass",)),
        },
    }
    for (folder, dry_folder, unit), parts in units.items():
        for part, (settings, names) in parts.items():
            for place, name in enumerate(names):
                dry = song(place + 3 * (part == "test"), 48_000, 1)
                write(root / folder / dry_folder / part / f"{name}.input.wav", dry, 48_000, "FLOAT")
                for setting in settings:
                    wet = through_a_unit(dry, 0.3 + 0.1 * len(setting) / 20)
                    path = root / folder / unit / part / setting / f"{setting}.{name}.target.wav"
                    write(path, wet, 48_000, "FLOAT")
    return root


def cl1b(root: Path, name: str = "CL1B_train.pickle", rows: int = 3, protocol: int = 4, number: int = 1) -> Path:
    """CL-1B: a pickle with one input row that serves all targets."""
    root.mkdir(parents=True, exist_ok=True)
    dry = song(number, 48_000, 1)[:, 0]
    wet = np.stack([through_a_unit(dry[:, None], 0.2 * (row + 1))[:, 0] for row in range(rows)])
    controls = np.array([[2.0 + row, -20.0, 5.0, 0.05] for row in range(rows)])
    with (root / name).open("wb") as file:
        pickle.dump({"x": dry[None], "y": wet, "z": controls}, file, protocol)
    return root
