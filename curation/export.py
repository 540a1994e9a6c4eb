"""A dataset for other people's tools: one selection of takes, five formats, all of it or nothing.

An export is written into a folder beside its target and renamed at the end. A small one (`sample`) is first cut out as
a dataset of its own and then exported like any other.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..manifests.dataset import Dataset
from ..manifests.errors import UsageError
from ..manifests.storage import remove_folder, require_space
from .citation import FILE as CITATION_FILE
from .citation import citation_of
from .data_card import data_card, description, licences_of
from .excerpt import choose, write_excerpt
from .export_bagit import close_bag, write_bagit
from .export_commands import FORMATS
from .export_croissant import write_croissant
from .export_folder import new_folder, size_of
from .export_huggingface import configs, write_huggingface
from .export_jams import write_jams
from .export_reading import reading
from .export_selection import LeftOut, select
from .export_tables import write_tables
from .export_webdataset import write_webdataset

LIBRARY = {"croissant": "mlcroissant", "jams": "jams", "bagit": "bagit"}  # what writes it, of the extra `export`
Start = Callable[[int], Callable[[], None]]


@dataclass(frozen=True)
class Exported:
    """What lies in `folder` now."""

    folder: Path
    format: str
    songs: int
    settings: int
    splits: dict[str, int]  # takes by split
    hours: float
    files: int
    size_bytes: int
    left_out: tuple[LeftOut, ...]
    about: str  # the content in one sentence
    authors_named: bool

    @property
    def takes(self) -> int:
        return sum(self.splits.values())


def export(
    dataset: Dataset,
    target: Path,
    format: str = FORMATS[0],
    *,
    splits: Iterable[str] = (),
    sample: int | None = None,
    window_s: float = 10.0,
    dry_once: bool = False,
    shard_bytes: int = 500_000_000,
    title: str | None = None,
    authors: Sequence[str] = (),
    start: Start = lambda total: lambda: None,
) -> Exported:
    """Write `dataset` (or its `splits`) into the new folder `target` in one of `FORMATS`.

    `dry_once`: the dry audio of each song once, instead of with each of its takes (Parquet only). `sample`: so many
    songs at so many settings at most, `window_s` seconds of each. `start(total)` gives what is called after each take
    or song. Songs that may not be passed on stay behind: see `left_out`. `UsageError` when the target is not empty,
    `DatasetError` when there is nothing to export or a file is not what its table says.
    """
    if format not in FORMATS:
        raise UsageError("no such format", got=format, allowed=FORMATS)
    if sample is not None and format == "jams":
        raise UsageError("--sample cuts audio, and jams holds none", mend="leave one of them out")
    if dry_once and format not in ("huggingface", "croissant"):
        told = "a WebDataset sample needs its dry audio" if format == "webdataset" else f"{format} has it once anyway"
        raise UsageError(f"--dry-once is for huggingface and croissant: {told}", mend="leave it out")
    if format in LIBRARY:
        importlib.import_module(LIBRARY[format])  # missing? then now, not after a terabyte of audio
    whole = select(dataset, splits, need_takes=format != "jams")
    chosen = whole if sample is None else choose(whole, sample)
    citation = citation_of(dataset.root, licences_of(chosen), title=title, authors=authors)
    if format == "jams":  # songs alone: whether they were captured does not matter
        whole = chosen = dataclasses.replace(whole, takes=whole.takes.slice(0, 0), settings={})
    with new_folder(target) as folder:
        selection, windows = chosen, None
        cut = folder / ".excerpt"
        if sample is not None:
            windows = write_excerpt(chosen, cut, window_s)
            selection = dataclasses.replace(select(Dataset(cut)), left_out=whole.left_out)
        selection = dataclasses.replace(selection, dry_once=dry_once)
        if len(selection.takes):
            needed = selection.audio_bytes(dry_with_each_take=format != "bagit" and not dry_once)
            require_space(folder, needed, "the export")
        about = description(selection)
        count = start(len(selection.annotations) if format == "jams" else len(selection.takes))
        if format == "huggingface":
            write_huggingface(selection, folder, shard_bytes, count)
        elif format == "webdataset":
            write_webdataset(selection, folder, shard_bytes, count)
        elif format == "croissant":
            write_croissant(selection, folder, citation, about, shard_bytes, count)
        elif format == "jams":
            write_jams(selection, folder, citation.title, count)
        else:
            write_bagit(selection, folder, count)
        if format in ("huggingface", "webdataset"):
            write_tables(selection, folder)
        card = data_card(
            selection,
            whole,
            citation,
            reading=reading(format, next(iter(selection.splits), ""), dry_once),
            configs=configs(selection) if format in ("huggingface", "croissant") else (),
            windows=windows,
        )
        remove_folder(cut)
        (folder / "README.md").write_text(card, encoding="utf-8")
        (folder / CITATION_FILE).write_text(citation.text, encoding="utf-8")
        if format == "bagit":
            close_bag(folder, citation, about)
        files, size_bytes = size_of(folder)
    return Exported(
        target,
        format,
        len(selection.songs),
        len(selection.settings),
        selection.splits,
        selection.hours,
        files,
        size_bytes,
        whole.left_out,
        about,
        bool(authors) or (dataset.root / CITATION_FILE).exists(),
    )
