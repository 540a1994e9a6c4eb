"""What others play through their units, embedded beside the songs: references.parquet, for the figure of diversity.

    built-in      noise, test tones and plucked strings, made here (`reference_inputs.py`)
    NAME=FOLDER   the audio files below a folder, such as the inputs of another dataset

Every backend in use that gives an embedding hears every item, at the level that songs have. As with songs, only what
is missing is made: an item is heard again when its audio or a backend has changed. Files come from anywhere, so each is
decoded in a child process with limits (`manifests/decode.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..manifests.dataset import Dataset
from ..manifests.decode import SongRefusedError, decode_in_child
from ..manifests.errors import DatasetError, UsageError
from ..manifests.ids import check_id
from ..manifests.pcm import Float32
from ..manifests.schema import column_names
from ..manifests.tables import write_table
from .backend import BACKENDS, Choice
from .hearing import Start, hear_all, rows_before
from .listening import backend_of, song_columns
from .makers import Maker, makers
from .reference_inputs import COUNT, KINDS, SAMPLE_RATE, SECONDS, at_peak, reference_input

Row = dict[str, Any]
TABLE = "references"
SONGS = "songs"  # the report's name for the dataset's own set
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".w64", ".rf64")


@dataclass(frozen=True)
class Item:
    """One piece of audio of the set `reference`: the file at `path`, or the built-in input `number`."""

    reference: str
    item: str
    sha256: str
    path: Path | None = None
    number: int = 0

    def audio(self) -> tuple[Float32, int]:
        """Its samples (frames, channels) with their peak at -12 dBFS, and their rate; `DatasetError` for a file that
        cannot be decoded."""
        if self.path is None:
            return reference_input(self.reference, self.number)[1], SAMPLE_RATE
        try:
            decoded = decode_in_child(self.path)
        except SongRefusedError as error:
            raise DatasetError(error.reason) from None
        return at_peak(decoded.audio), decoded.sample_rate


@dataclass(frozen=True)
class Task:
    """An item, and the backends that are to embed it."""

    item: Item
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class Heard:
    """Rows of `references` for an item; `error`: why there are no (more)."""

    rows: list[Row] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True)
class Embedded:
    """How many items each set has now, and how many vectors were made or kept in this run, by which backends."""

    sets: dict[str, int]
    new: int
    kept: int
    backends: tuple[str, ...]


def embed_references(
    dataset: Dataset,
    folders: Mapping[str, Path],
    *,
    built_in: bool = True,
    backends: Sequence[Choice] = (),
    again: bool = False,
    jobs: int | None = None,
    scheduler: str | None = None,
    start: Start = lambda total: lambda: None,
) -> Embedded:
    """Embed the built-in references, if wanted, and those in `folders`, by set, with every backend of `backends` and
    the defaults that gives an embedding; write references.parquet. Sets that are not named stay as they are, unless
    `again` is told: that keeps nothing. What is missing is written every few seconds and at the end, as in `annotate`.

    `UsageError` while another process annotates this dataset, for a name or folder that cannot be meant, and without
    such a backend, before anything is heard.
    `DatasetError` at the very end for files that could not be heard, when all others have been.
    """
    for name, folder in folders.items():
        check_set(name, folder)
    chosen = [maker for maker in makers(backends) if "embedding" in BACKENDS[maker.choice.name].gives]
    if not chosen:
        raise UsageError("no backend in use gives an embedding", mend="pip install 'buscomp[annotate]'")
    items = list(built_in_items()) if built_in else []
    for name, folder in folders.items():
        items += items_in(name, folder)
    with dataset.lock("annotations"):
        table = _Table(dataset, again)
        table.keep_only(items)
        tasks = [Task(item, wanted) for item in items if (wanted := table.wanted(item, chosen))]
        errors = hear_all(
            listen, tasks, lambda _, heard: table.take(heard.rows), table.write, audio_s=len(tasks) * SECONDS,
            died=died, jobs=jobs, scheduler=scheduler, start=start,
        )  # fmt: skip
        if again:
            table.keep_only_made()
    if errors:
        more = f" (and {len(errors) - 1} more files)" if len(errors) > 1 else ""
        raise DatasetError(f"could not embed {errors[0]}{more}", mend="all other references are embedded")
    new = sum(len(task.choices) for task in tasks)
    return Embedded(table.counts(), new, len(items) * len(chosen) - new, tuple(maker.name for maker in chosen))


def check_set(name: str, folder: Path) -> None:
    """`UsageError` unless `name` can be that of a set of references, and `folder` is one."""
    check_id(name, "the name of a reference")
    if name in (SONGS, *KINDS):
        raise UsageError("this name of a reference is taken", got=name)
    if not folder.is_dir():
        raise UsageError(f"the reference {name} is not a folder", got=str(folder))


def built_in_items() -> Iterator[Item]:
    """All that are made here."""
    for kind in KINDS:
        for number in range(COUNT):
            name, audio = reference_input(kind, number)
            yield Item(kind, name, hashlib.sha256(audio.tobytes()).hexdigest(), number=number)


def items_in(name: str, folder: Path) -> list[Item]:
    """The audio files below `folder` as the set `name`, by their suffix; hidden ones are left out. `UsageError` where
    there are none."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    found = []
    for path in files:
        relative = path.relative_to(folder)
        if not any(part.startswith(".") for part in relative.parts):
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            found.append(Item(name, relative.as_posix(), sha256, path.absolute()))
    if not found:
        raise UsageError(f"the reference {name} holds no audio", got=str(folder), allowed=", ".join(SUFFIXES))
    return found


def listen(task: Task) -> Heard:
    """What each backend makes of an item: the part that runs in worker processes."""
    rows: list[Row] = []
    try:
        audio, sample_rate = task.item.audio()
        told = {"reference": task.item.reference, "item": task.item.item, "audio_sha256": task.item.sha256}
        for choice in task.choices:
            backend = backend_of(choice)
            value = backend.annotate(audio, sample_rate)["embedding"]
            rows.append(told | {"duration_s": len(audio) / sample_rate} | song_columns(backend, "embedding", value))
    except DatasetError as error:
        return Heard(rows, f"{task.item.reference}/{task.item.item}: {error}")
    return Heard(rows)


def died(task: Task) -> Heard:
    """For an item on which the worker process crashed."""
    return Heard(error=f"{task.item.reference}/{task.item.item}: the process that listened to it died")


class _Table:
    """references.parquet in memory, by set, item and backend, and on disk."""

    def __init__(self, dataset: Dataset, again: bool):
        self.path = dataset.table_path(TABLE)
        self.again = again
        self.rows: dict[tuple[str, str, str], Row] = {}
        self.made: set[tuple[str, str, str]] = set()
        self.take({name: row.get(name) for name in column_names(TABLE)} for row in rows_before(self.path, TABLE, again))
        self.made.clear()  # from here on: in this run

    def keep_only(self, items: Iterable[Item]) -> None:
        """Forget what these sets no longer hold, and what was made of other audio."""
        now = {(item.reference, item.item): item.sha256 for item in items}
        sets = {reference for reference, _ in now}
        self.rows = {
            key: row for key, row in self.rows.items() if key[0] not in sets or now.get(key[:2]) == row["audio_sha256"]
        }

    def wanted(self, item: Item, chosen: Sequence[Maker]) -> tuple[Choice, ...]:
        """The backends that have yet to embed `item`."""
        versions = {
            maker.name: None
            if self.again
            else self.rows.get((item.reference, item.item, maker.name), {}).get("embedding_version")
            for maker in chosen
        }
        return tuple(maker.choice for maker in chosen if versions[maker.name] != maker.version)

    def take(self, rows: Iterable[Row]) -> None:
        for row in rows:
            key = (row["reference"], row["item"], row["embedding_backend"])
            self.rows[key] = row
            self.made.add(key)

    def keep_only_made(self) -> None:
        """All has been heard again: what this run did not make goes now, and no earlier."""
        self.rows = {key: row for key, row in self.rows.items() if key in self.made}
        self.write()

    def counts(self) -> dict[str, int]:
        sets: dict[str, set[str]] = {}
        for reference, item, _ in sorted(self.rows):
            sets.setdefault(reference, set()).add(item)
        return {reference: len(those) for reference, those in sets.items()}

    def write(self) -> None:
        write_table(self.path, TABLE, (self.rows[key] for key in sorted(self.rows)))


def parsed(words: Iterable[str]) -> dict[str, Path]:
    """`NAME=FOLDER` of the command line, by name; `UsageError` for anything else, and for names that are taken."""
    found: dict[str, Path] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not (equals and name and folder) or name in found:
            raise UsageError("--reference", got=word, allowed="NAME=FOLDER, each name once")
        found[name] = Path(folder).expanduser()
        check_set(name, found[name])
    return found
