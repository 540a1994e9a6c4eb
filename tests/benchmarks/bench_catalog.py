"""`buscomp catalog` from file to table, beside the decoder alone.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_catalog.py [--seconds 240] [--songs 2] [--times 3]

CPU time of this process and its children, medians, `--jobs 1`. "Decoder" is soundfile reading the same files to float32
in this process. The catalog also hashes, measures, compares, and encodes and syncs the dry audio, whose share is told.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from buscomp.curation.catalog import catalog
from buscomp.curation.duplicates import fingerprint
from buscomp.curation.normalise import make_dry
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.decode import decode_in_child
from buscomp.manifests.pcm import Int32, pcm_sha256, write_flac
from buscomp.tests.small_dataset import music

KINDS = {"FLAC": "PCM_24", "WAV": "PCM_24", "MP3": "MPEG_LAYER_III", "OGG": "VORBIS"}


def cpu_s() -> float:
    """CPU time of this process and of the children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def median_ms(work: Callable[[], object], times: int) -> float:
    """Median CPU time, ms; the first round compiles and warms up."""
    taken = []
    for _ in range(times + 1):
        began = cpu_s()
        work()
        taken.append(1000 * (cpu_s() - began))
    return float(np.median(taken[1:]))


def fill(folder: Path, kind: str, songs: int, seconds: int) -> None:
    """Songs of one format, with a noise floor as a recording has it."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(1)
    for number in range(songs):
        audio = music(seconds, tempo_bpm=97 + 11 * number, tonic_hz=110 * 2 ** (5 * number / 12))
        audio += 1e-5 * random.standard_normal(audio.shape, np.float32)
        path = folder / f"song-{number}.{kind.lower()}"
        with soundfile.SoundFile(path, "w", 44_100, 2, KINDS[kind], format=kind) as file:
            for begin in range(0, len(audio), 1 << 16):
                file.write(audio[begin : begin + (1 << 16)])


def afresh(dataset: Dataset) -> None:
    """A catalog of songs that it never saw."""
    for made in (dataset.root / "manifests", dataset.root / "dry"):
        shutil.rmtree(made, ignore_errors=True)
    catalog(dataset, jobs=1)


def each(work: Callable[[Path], object], paths: list[Path]) -> None:
    """`work` on every path, one result in memory at a time."""
    for path in paths:
        work(path)


def heard_and_hashed(pcm: Int32) -> tuple[str | None, str]:
    """Fingerprint and hash."""
    return fingerprint(pcm, 44_100), pcm_sha256(pcm)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=240)
    parser.add_argument("--songs", type=int, default=2)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--kinds", default="FLAC,WAV,MP3,OGG")
    given = parser.parse_args()
    print(f"CPU ms per song of {given.seconds} s; % of the decoder's speed in brackets")
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "dry.flac"
        for kind in given.kinds.split(","):
            dataset = Dataset(Path(scratch) / kind)
            fill(dataset.songs_folder, kind, given.songs, given.seconds)
            paths = sorted(dataset.songs_folder.iterdir())

            dry = make_dry(decode_in_child(paths[0])).pcm
            decoded = decode_in_child(paths[0])
            decoder = median_ms(partial(each, partial(soundfile.read, dtype="float32"), paths), given.times)
            whole = median_ms(partial(afresh, dataset), given.times)
            again = median_ms(partial(catalog, dataset, jobs=1), given.times)
            child = median_ms(partial(each, decode_in_child, paths), given.times)
            measures = given.songs * median_ms(partial(make_dry, decoded, overwrite=True), given.times)
            heard = given.songs * median_ms(partial(heard_and_hashed, dry), given.times)
            encode = given.songs * median_ms(partial(write_flac, target, dry, 44_100), given.times)
            told = {"decoder": decoder, "catalog": whole, "without encoding dry": whole - encode, "again": again}
            line = ", ".join(f"{name} {ms / given.songs:.0f} ({100 * decoder / ms:.0f} %)" for name, ms in told.items())
            parts = {"child": child, "normalise and measure": measures, "hash, fingerprint": heard, "encode": encode}
            print(f"{kind:5} {line}")
            print("      " + ", ".join(f"{name} {ms / given.songs:.0f}" for name, ms in parts.items()), flush=True)


if __name__ == "__main__":
    main()
