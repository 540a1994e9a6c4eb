"""What an importer finds in a folder of somebody else's dataset, before a sample is read: songs, takes, and what is
missing or invalid. The layouts differ; from here on all is one way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..manifests.decode import decode_in_child
from ..manifests.errors import UsageError
from ..manifests.finding import INVALID, Finding
from ..manifests.ids import id_from_name
from ..manifests.pcm import Float32
from ..manifests.unit import Position, Unit

AUDIO = re.compile(r"\.(wav|flac)", re.IGNORECASE)


class Audio(Protocol):
    """Samples of the source; its `read` raises `SongRefusedError`."""

    @property
    def name(self) -> str:
        """The file, relative to the source, and what of it."""

    @property
    def path(self) -> Path:
        """The file that holds it."""

    def read(self) -> tuple[Float32, int]:
        """Samples `(frames, channels)` and the sample rate, Hz."""


@dataclass(frozen=True)
class AudioFile:
    """One file of samples, decoded in a limited child process."""

    root: Path  # of the source
    name: str

    @property
    def path(self) -> Path:
        return self.root / self.name

    def read(self) -> tuple[Float32, int]:
        found = decode_in_child(self.path)
        return found.audio, found.sample_rate


@dataclass(frozen=True)
class SourceSong:
    """One dry signal."""

    song_id: str
    title: str  # its original name
    audio: Audio


@dataclass(frozen=True)
class SourceTake:
    """What came out of the unit for one song at one setting."""

    song_id: str
    setting_name: str  # as the source writes it
    values: Mapping[str, Position]
    audio: Audio
    origin: str = "grid"
    song_role: str | None = None  # seen, validation or unseen, where the source says so


@dataclass(frozen=True)
class Layout:
    """A dataset as its publisher laid it out."""

    title: str  # name and version, as it goes into songs.source
    unit: Unit
    songs: list[SourceSong]
    takes: list[SourceTake]
    sample_rate: int  # Hz, of every file
    channels: tuple[int, ...] = (1, 2)
    findings: list[Finding] = field(default_factory=list)  # missing and invalid by their names alone
    in_one_process: bool = False  # its audio lies in this process's memory
    notes: list[str] = field(default_factory=list)


def audio_files(folder: Path) -> list[Path]:
    """wav and flac files directly in `folder`, by name; links and hidden files are left out."""
    return sorted(
        path
        for path in folder.iterdir()
        if AUDIO.fullmatch(path.suffix) and path.is_file() and not path.is_symlink() and not path.name.startswith(".")
    )


def folders(folder: Path) -> list[Path]:
    """Folders directly in `folder`, by name."""
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
    )


def require_folders(source: Path, names: Iterable[str], layout: str) -> None:
    """`UsageError` unless `source` has the folders that `layout` begins with."""
    missing = [name for name in names if not (source / name).is_dir()]
    if missing:
        raise UsageError(f"{source} is not laid out as {layout}: it has no folder {', '.join(missing)}")


def without_twins(songs: Iterable[SourceSong]) -> list[SourceSong]:
    """`songs` by id; `UsageError` for two names that fold to one id."""
    by_id: dict[str, SourceSong] = {}
    for song in songs:
        twin = by_id.setdefault(song.song_id, song)
        if twin is not song:
            raise UsageError(f"{twin.audio.name} and {song.audio.name} fold to one id, {song.song_id}")
    return list(by_id.values())


def id_of(name: str, findings: list[Finding], path: str) -> str | None:
    """The id of `name`, or None and a finding where none can be made."""
    try:
        return id_from_name(name)
    except UsageError as error:
        findings.append(Finding(INVALID, path, str(error)))
        return None
