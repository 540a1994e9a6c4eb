"""One file of somebody else's dataset -> one file of ours, with all that can be checked and measured on it."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ..manifests.audio_check import CLEARLY_BETTER, LAG_TOLERANCE_SAMPLES, WINDOW_FRAMES
from ..manifests.decode import SongRefusedError
from ..manifests.errors import DatasetError, UsageError
from ..manifests.finding import INVALID, MISALIGNED, Finding
from ..manifests.lag import CLEAR, Lag, measure_lag
from ..manifests.levels import clipped_runs, db, from_db, loudness_lufs, peak_dbfs, rms_dbfs, true_peak_dbtp
from ..manifests.pcm import FULL_SCALE, Float32, pcm_sha256, quantise, read_audio, to_float, write_flac
from ..manifests.storage import sync_folder, write_whole
from .import_layout import Audio

FLAC, COPY, LINK = "flac", "copy", "link"
HOW = (FLAC, COPY, LINK)
AS_THEY_ARE = ("PCM_16", "PCM_24")  # what can stay as it is: integers of up to 24 bits are exact in float32
HIGHEST = 1 - 1 / FULL_SCALE


@dataclass(frozen=True)
class Job:
    """One file to bring over."""

    audio: Audio
    root: str  # of the dataset
    stem: str  # where it goes, relative, without the ending: dry/a or wet/s/a
    how: str  # flac, copy or link
    sample_rate: int
    channels: tuple[int, ...]
    gain_db: float = 0.0
    dry_path: str | None = None  # of a take: what it must fit
    dry_frames: int | None = None
    lags_samples: int = 0  # of a take: by how much the source says that wet lags
    cut_tail: bool = False


@dataclass(frozen=True)
class Brought:
    """What it has become: columns of `songs` and `takes` under their own names."""

    path: str
    sha256: str
    measured: dict[str, Any]
    source_sha256: str | None = None


def bring(job: Job) -> Brought | Finding:
    """Decode, check, write and measure; a `Finding` when it cannot be used."""

    def invalid(detail: str, kind: str = INVALID) -> Finding:
        return Finding(kind, job.audio.name, detail)

    try:
        audio, sample_rate = job.audio.read()
    except SongRefusedError as error:
        return invalid(error.reason)
    if sample_rate != job.sample_rate:
        return invalid(f"{sample_rate} Hz instead of {job.sample_rate} Hz")
    if audio.shape[1] not in job.channels:
        return invalid(f"{audio.shape[1]} channels instead of {' or '.join(map(str, job.channels))}")
    if job.dry_frames is not None:
        fitted = _fitted(audio, job)
        if isinstance(fitted, str):
            return invalid(fitted)
        audio = fitted
    if job.gain_db:
        audio = np.asarray(audio * from_db(job.gain_db), np.float32)
    peak = float(np.abs(audio).max(initial=0.0))
    if peak > 1.0 or (job.gain_db and peak > HIGHEST):
        mend = "bring it down with --dry-gain-db or --wet-gain-db"
        return invalid(f"its peak is {db(peak):+.2f} dBFS, above full scale: {mend}")
    if job.dry_path is not None and (told := _misaligned(audio, job)):
        return invalid(told, MISALIGNED)
    pcm = quantise(audio)
    relative = _write(job, pcm)
    if isinstance(relative, Finding):
        return relative
    source_sha256 = sha256_of(job.audio.path) if job.dry_path is None else None
    return Brought(relative, pcm_sha256(pcm), _measured(to_float(pcm), job), source_sha256)


def compile_meters() -> None:
    """Fill the cache of compiled functions before several processes would do so at once."""
    silence = np.zeros((44_100, 2), np.float32)
    loudness_lufs(silence, 44_100)
    true_peak_dbtp(silence, 44_100)


def _fitted(audio: Float32, job: Job) -> Float32 | str:
    """Wet in the frames of dry, or what is wrong: moved by what the source says it lags, its tail cut if that is asked
    for. Moving leaves silence where nothing was recorded."""
    frames = job.dry_frames or 0
    if len(audio) < frames or (len(audio) > frames and not job.cut_tail):
        mend = ": --cut-tail drops what is behind the end of dry" if len(audio) > frames else ""
        return f"{len(audio)} frames, its dry audio has {frames}{mend}"
    if not job.lags_samples:
        return audio[:frames]
    moved = np.zeros((frames, audio.shape[1]), np.float32)
    begin = job.lags_samples
    part = audio[max(begin, 0) : max(begin, 0) + frames - max(-begin, 0)]
    moved[max(-begin, 0) : max(-begin, 0) + len(part)] = part
    return moved


def lag_of(dry: Float32, wet: Float32) -> Lag | None:
    """The lag of `wet` behind `dry`, by the loudest window of wet; None where nothing can be said."""
    frames = min(len(dry), len(wet))
    starts = range(0, max(frames - WINDOW_FRAMES // 2, 1), WINDOW_FRAMES)
    begin = max(starts, key=lambda start: float(np.vdot(*[wet[start : start + WINDOW_FRAMES]] * 2)))
    window = slice(begin, min(begin + WINDOW_FRAMES, frames))
    if dry.shape[1] != wet.shape[1]:
        return None
    return measure_lag(dry[window], wet[window])


def _misaligned(wet: Float32, job: Job) -> str | None:
    try:
        dry, _ = read_audio(Path(job.root) / (job.dry_path or ""))
    except DatasetError as error:
        return str(error)
    if dry.shape[1] != wet.shape[1]:
        return f"{wet.shape[1]} channels, its dry audio has {dry.shape[1]}"
    lag = lag_of(dry, wet)
    if lag is None:
        return None
    if lag.resemblance < CLEAR:
        return f"nothing in it follows its dry audio (resemblance {lag.resemblance:.2f} of 1)"
    if abs(lag.samples) > LAG_TOLERANCE_SAMPLES and lag.resemblance > CLEARLY_BETTER * lag.resemblance_near(
        0, LAG_TOLERANCE_SAMPLES
    ):
        lags = lag.samples + job.lags_samples
        return f"it lags its dry audio by {lags} samples; if all of the dataset does: --wet-lags {lags}"
    return None


def _write(job: Job, pcm: Any) -> str | Finding:
    """Put the audio into the dataset; its relative path."""
    if job.how == FLAC:
        write_flac(Path(job.root) / f"{job.stem}.flac", pcm, job.sample_rate)
        return f"{job.stem}.flac"
    source = job.audio.path
    subtype = soundfile.info(source).subtype
    if subtype not in AS_THEY_ARE:
        return Finding(INVALID, job.audio.name, f"{subtype} cannot be read as integers without loss: use --audio flac")
    relative = f"{job.stem}{source.suffix.lower()}"
    target = Path(job.root) / relative
    if job.how == COPY:
        write_whole(target, lambda temporary: _copied(source, temporary))
        return relative
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)  # one file under two names: nothing is ever written into it here
    except OSError as error:
        told = f"{job.audio.name} cannot be linked ({error.strerror})"
        raise UsageError(told, mend="use --audio copy or flac") from None
    sync_folder(target.parent)
    return relative


def _copied(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


@lru_cache(maxsize=4)  # a pickle holds many songs
def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _measured(audio: Float32, job: Job) -> dict[str, Any]:
    measured: dict[str, Any] = {
        "sample_rate": job.sample_rate,
        "frames": len(audio),
        "channels": audio.shape[1],
        "peak_dbfs": peak_dbfs(audio),
        "clipped_runs": clipped_runs(audio),
        "loudness_lufs": loudness_lufs(audio, job.sample_rate),
    }
    if job.dry_path is not None:
        return measured
    rms = rms_dbfs(audio)
    return measured | {
        "duration_s": len(audio) / job.sample_rate,
        "true_peak_dbtp": true_peak_dbtp(audio, job.sample_rate),
        "rms_dbfs": rms,
        "crest_db": measured["peak_dbfs"] - rms,
        "dc_offset": float(np.abs(audio.mean(axis=0, dtype=np.float64)).max(initial=0.0)),
    }
