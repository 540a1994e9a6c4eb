"""Somebody else's dataset -> a dataset of ours, whatever its layout was.

Every pair is decoded, checked and measured; what passes becomes an accepted take in the journal, and what does not is
told of as missing or invalid and left out. Nothing is invented: what only a rig can know (latency, xruns, noise) stays
null. The source is only read. An import that was interrupted goes on where it stopped, because the journal knows what
is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..manifests.cells import SEEN, UNSEEN, cell
from ..manifests.dataset import Dataset
from ..manifests.errors import DatasetError, UsageError
from ..manifests.finding import INVALID, Finding
from ..manifests.ids import resolve_under
from ..manifests.journal import Journal
from ..manifests.parallel import each
from ..manifests.schema import ACCEPTED, column_names
from ..manifests.storage import write_text
from ..manifests.tables import write_table
from ..manifests.unit import Setting
from ..manifests.version import version
from .import_layout import Layout, SourceTake
from .imported_audio import FLAC, HOW, Brought, Job, bring, compile_meters, sha256_of
from .imported_unit import write_unit

QUARANTINED = "quarantined"
BATCH = 100  # takes that are planned in one step of the journal
REPORT = "import.json"
Row = dict[str, Any]
Count = Callable[[int], Callable[[], None]]


@dataclass(frozen=True)
class Choices:
    """What the user says about a dataset that its files do not."""

    audio: str = FLAC
    license: str | None = None
    dry_gain_db: float = 0.0
    wet_gain_db: float = 0.0
    wet_lags_samples: int = 0
    cut_tail: bool = False

    def check(self) -> None:
        """`UsageError` where they contradict each other."""
        if self.audio not in HOW:
            raise UsageError("no such way to bring audio over", got=self.audio, allowed=HOW)
        changes = self.dry_gain_db, self.wet_gain_db, self.wet_lags_samples, self.cut_tail
        if self.audio != FLAC and any(changes):
            raise UsageError(
                "a file that stays as it is cannot be changed", got=f"--audio {self.audio}", mend="use --audio flac"
            )


@dataclass(frozen=True)
class Imported:
    """What became of it."""

    songs: int
    takes: int
    kept: int  # takes that were there from an earlier run
    settings: int
    findings: list[Finding]  # missing, invalid and misaligned, of the source


def import_dataset(
    dataset: Dataset,
    layout: Layout,
    choices: Choices,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    count: Count = lambda total: lambda: None,
) -> Imported:
    """Make `dataset` hold the songs, settings and takes of `layout`.

    `DatasetError` when the folder holds something else already, or nothing of the source can be used; `UsageError` for
    choices that contradict each other."""
    choices.check()
    if not layout.songs or not layout.takes:
        found = f"{len(layout.songs)} songs and {len(layout.takes)} takes"
        raise DatasetError(f"nothing to import: {found}", mend=_first_of(layout.findings))
    with dataset.lock():
        _claim(dataset, layout, choices)
        write_unit(dataset.unit_path, layout.unit)
        settings, setting_of = _settings(dataset, layout)
        many = {"jobs": 1 if layout.in_one_process else jobs, "scheduler": None if layout.in_one_process else scheduler}
        if many["jobs"] != 1:
            compile_meters()
        findings = list(layout.findings)
        songs = _bring_songs(dataset, layout, choices, findings, many, count)
        takes = _unique(dataset, layout, songs, setting_of, findings)
        with dataset.journal() as journal:
            journal.keep_fact("settings", json.dumps(settings))
            there = {(take["song_id"], take["setting_id"]) for take in journal.each_take()}
            new = {pair: take for pair, take in takes.items() if pair not in there}
            brought = _bring_takes(dataset, layout, choices, new, songs, many, count)
            accepted = _accept(journal, layout, brought, choices, findings)
            dataset.snapshot(journal)
        if not there and not accepted:
            raise DatasetError("none of the takes can be used", mend=_first_of(findings))
        _write_splits(dataset, layout, takes, findings)
        _write_report(dataset, layout, choices, setting_of, findings)
    kept = len(there & set(takes))
    return Imported(len(songs), accepted + kept, kept, len(settings), findings)


def _claim(dataset: Dataset, layout: Layout, choices: Choices) -> None:
    """Note in the journal what this folder is for; it must be new, or hold an earlier run of the very same import."""
    ours = json.dumps({"title": layout.title, **vars(choices)})
    before, got = None, "songs"
    if dataset.journal_path.exists():
        with dataset.journal() as journal:
            before = journal.fact("import")
        got = "a capture" if before is None else f"an import of {json.loads(before)['title']} with other options"
    elif not dataset.table_path("songs").exists():
        with dataset.journal() as journal:
            journal.keep_fact("import", ours)
        return
    if before != ours:
        raise DatasetError("this folder holds a dataset already", got=got, mend="name a new one: --dataset DIR")


def _settings(dataset: Dataset, layout: Layout) -> tuple[list[Row], dict[str, Setting]]:
    """Rows of `settings`, and the setting of every name in the source."""
    unit = layout.unit
    setting_of: dict[str, Setting] = {}
    rows: dict[str, Row] = {}
    before: Mapping[str, Any] | None = None
    for take in layout.takes:
        if take.setting_name in setting_of:
            continue
        setting = unit.setting(take.values, take.origin)
        setting_of[take.setting_name] = setting
        if setting.setting_id not in rows:
            moves = 0 if before is None else sum(setting.values[name] != before[name] for name in unit.controls)
            rows[setting.setting_id] = {
                "setting_id": setting.setting_id,
                "origin": setting.origin,
                **unit.to_row(setting.values),
                "visit_order": len(rows),
                "moves_from_previous": moves,
            }
            before = setting.values
    return list(rows.values()), setting_of


def _bring_songs(
    dataset: Dataset, layout: Layout, choices: Choices, findings: list[Finding], many: Mapping[str, Any], count: Count
) -> dict[str, Row]:
    """Rows of the songs that can be used, by song_id. Writes `songs.parquet`; the others are quarantined there."""
    before: dict[str, Row] = {}
    if dataset.table_path("songs").exists():
        before = {row["song_id"]: row for row in dataset.rows("songs") if row["status"] == ACCEPTED}
    known = {song.song_id for song in layout.songs if _is_there(dataset, before.get(song.song_id), song.audio.path)}
    jobs = {
        song.song_id: Job(
            song.audio,
            str(dataset.root),
            f"dry/{song.song_id}",
            choices.audio,
            layout.sample_rate,
            layout.channels,
            choices.dry_gain_db,
        )
        for song in layout.songs
        if song.song_id not in known
    }
    done = count(len(jobs))
    results = {}
    for job, result in each(bring, jobs.values(), **many):
        results[job.stem] = result
        done()
    rows = []
    for song in layout.songs:
        if song.song_id in known:
            rows.append(before[song.song_id])
            continue
        row: Row = dict.fromkeys(column_names("songs")) | {
            "song_id": song.song_id,
            "title": song.title,
            "source": layout.title,
            "license": choices.license,
            "source_path": song.audio.name,
            "status": QUARANTINED,
            "reasons": [],
        }
        result = results[f"dry/{song.song_id}"]
        if isinstance(result, Brought):
            row |= {"status": ACCEPTED, "dry_path": result.path, "dry_sha256": result.sha256, **result.measured}
            row |= {"dry_gain_db": choices.dry_gain_db, "source_sha256": result.source_sha256}
        else:
            row["reasons"] = [f"{result.kind}: {result.detail}"]
            findings.append(result)
        rows.append(row)
    write_table(dataset.table_path("songs"), "songs", rows, made_with={"imported": layout.title, **vars(choices)})
    return {row["song_id"]: row for row in rows if row["status"] == ACCEPTED}


def _is_there(dataset: Dataset, row: Row | None, source: Path) -> bool:
    """Whether an earlier run has brought this very file."""
    if row is None or not source.is_file():
        return False
    return resolve_under(dataset.root, row["dry_path"]).is_file() and row["source_sha256"] == sha256_of(source)


def _unique(
    dataset: Dataset,
    layout: Layout,
    songs: Mapping[str, Row],
    setting_of: Mapping[str, Setting],
    findings: list[Finding],
) -> dict[tuple[str, str], SourceTake]:
    """Takes by song and setting, whose song can be used; a pair that comes twice is told of."""
    takes: dict[tuple[str, str], SourceTake] = {}
    for take in layout.takes:
        pair = take.song_id, setting_of[take.setting_name].setting_id
        if take.song_id not in songs:
            findings.append(Finding(INVALID, take.audio.name, f"its dry audio, {take.song_id}, cannot be used"))
        elif pair in takes:
            told = f"{takes[pair].audio.name} is of the same song and setting"
            findings.append(Finding(INVALID, take.audio.name, told))
        else:
            takes[pair] = take
    return takes


def _bring_takes(
    dataset: Dataset,
    layout: Layout,
    choices: Choices,
    takes: Mapping[tuple[str, str], SourceTake],
    songs: Mapping[str, Row],
    many: Mapping[str, Any],
    count: Count,
) -> Iterator[tuple[tuple[str, str], Brought | Finding]]:
    """`(song_id, setting_id)` and what became of it, in the order of the source however they are done."""
    jobs = (
        Job(
            take.audio,
            str(dataset.root),
            f"wet/{setting_id}/{song_id}",
            choices.audio,
            layout.sample_rate,
            layout.channels,
            choices.wet_gain_db,
            songs[song_id]["dry_path"],
            songs[song_id]["frames"],
            choices.wet_lags_samples,
            choices.cut_tail,
        )
        for (song_id, setting_id), take in takes.items()
    )
    done = count(len(takes))
    waiting: dict[str, Brought | Finding] = {}
    order = iter(takes)
    next_pair = next(order, None)
    for job, result in each(bring, jobs, **many):
        done()
        waiting[job.stem] = result
        while next_pair is not None and (stem := f"wet/{next_pair[1]}/{next_pair[0]}") in waiting:
            yield next_pair, waiting.pop(stem)
            next_pair = next(order, None)


def _accept(
    journal: Journal,
    layout: Layout,
    brought: Iterable[tuple[tuple[str, str], Brought | Finding]],
    choices: Choices,
    findings: list[Finding],
) -> int:
    """Every take that was brought becomes an accepted one, in one session; how many."""
    unit = layout.unit
    session_id = f"import-{len(journal.sessions()) + 1}"
    journal.start_session(
        {
            "session_id": session_id,
            "device": "import",
            "sample_rate": layout.sample_rate,
            "unit_make": unit.make,
            "unit_model": unit.model,
            "unit_serial": unit.serial,
            "buscomp_version": version(),
            "started_at": datetime.now(UTC),
        }
    )
    shift = {"integer_shift_samples": choices.wet_lags_samples} if choices.wet_lags_samples else {}
    accepted, ready = 0, dict[tuple[str, str], Brought]()

    def keep() -> None:
        plan = [{"song_id": song, "setting_id": setting, "unit_id": unit.unit_id} for song, setting in ready]
        journal.plan(plan, {})
        for take in journal.planned():
            one = ready[take["song_id"], take["setting_id"]]
            measured = {**one.measured, "wet_path": one.path, "wet_sha256": one.sha256, "reasons": []}
            journal.accept(take["take_id"], measured | shift | {"session_id": session_id})
        ready.clear()

    for pair, result in brought:
        if isinstance(result, Finding):
            findings.append(result)
            continue
        ready[pair] = result
        accepted += 1
        if len(ready) >= BATCH:
            keep()
    keep()
    journal.end_session(session_id, datetime.now(UTC))
    return accepted


def _write_splits(
    dataset: Dataset, layout: Layout, takes: Mapping[tuple[str, str], SourceTake], findings: list[Finding]
) -> None:
    """`splits.parquet` as the folders of the source say, where they say anything."""
    accepted = {(row["song_id"], row["setting_id"]) for row in dataset.rows("takes") if row["status"] == ACCEPTED}
    roles = {pair: take.song_role for pair, take in takes.items() if pair in accepted and take.song_role is not None}
    if not roles:
        return
    trained = {setting for (_, setting), role in roles.items() if role == SEEN}
    rows = []
    for (song_id, setting_id), role in roles.items():
        setting_role = SEEN if setting_id in trained else UNSEEN
        words = {"song_role": role, "setting_role": setting_role, "unit_role": SEEN, "split": cell(role, setting_role)}
        rows.append({"song_id": song_id, "setting_id": setting_id, **words})
    write_table(dataset.table_path("splits"), "splits", rows, made_with={"of": f"the folders of {layout.title}"})


def _write_report(
    dataset: Dataset, layout: Layout, choices: Choices, setting_of: Mapping[str, Setting], findings: list[Finding]
) -> None:
    """`import.json`: where all of it comes from, what was said about it, and everything that was left out."""
    document = {
        "source": layout.title,
        "choices": vars(choices),
        "sample_rate_hz": layout.sample_rate,
        "settings": {setting.setting_id: name for name, setting in setting_of.items()},
        "findings": [vars(finding) for finding in findings],
        "buscomp_version": version(),
    }
    write_text(dataset.root / REPORT, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _first_of(findings: list[Finding]) -> str | None:
    return f"the first of {len(findings)} findings: {findings[0].path}: {findings[0].detail}" if findings else None
