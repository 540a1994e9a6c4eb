"""README.md of an export: what it holds, how it was captured, under which licences, how to read and to cite it.

The YAML in front is read by the Hugging Face Hub; the figures come from the manifests. What is not known is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from ..manifests.dataset import Dataset
from ..manifests.licences import spdx_of, terms_of
from ..manifests.schema import ACCEPTED, REJECTED, SUPERSEDED
from ..manifests.tables import read_arrow
from ..manifests.unit import shown
from ..manifests.version import version
from .citation import Citation
from .export_selection import UNSPLIT, Selection, by_reason
from .export_tree import Window

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
SPLIT_MEANING = {
    "train": "training songs, seen settings",
    "validation": "validation songs, seen settings",
    "test_seen": "test songs, seen settings",
    "test_unseen": "test songs, unseen settings",
    "unused": "the rest, such as training songs at unseen settings",
    UNSPLIT: "not split yet",
}


def data_card(
    selection: Selection,
    whole: Selection,
    citation: Citation,
    *,
    reading: str,
    configs: Sequence[Mapping[str, Any]] = (),
    windows: Mapping[str, Window] | None = None,
) -> str:
    """The page. `whole`: what an excerpt (`windows`) was cut from, else `selection` itself: the capture is told of it.
    `reading`: how this format is read, as Markdown. `configs`: of a Hugging Face dataset."""
    parts = [
        _front_matter(selection, citation, configs),
        f"# {_text(citation.title)}\n\n{_text(description(selection))}",
        _contents(selection, whole, windows),
        f"## How to read it\n\n{reading.strip()}" if reading else "",
        _captured(whole.dataset) if len(whole.takes) else "",
        _licences(selection, whole),
        f"## How to cite it\n\nCITATION.cff has it for programs; for LaTeX:\n\n```bibtex\n{citation.bibtex()}\n```",
        f"Written by buscomp {version()} on {citation.released.date()}."
        if not windows
        else f"An excerpt, written by buscomp {version()}.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def description(selection: Selection) -> str:
    """One sentence about the content."""
    songs = _count(len(selection.songs), "song")
    if not len(selection.takes):
        return f"What was heard in {songs}: key, tempo and tags."
    return (
        f"{_count(len(selection.takes), 'take')} ({selection.hours:.3g} h) of {songs} at "
        f"{_count(len(selection.settings), 'setting')} of {_unit_name(selection.dataset)}: what was sent (dry) and "
        "what came back (wet), aligned to the sample."
    )


def licences_of(selection: Selection) -> list[str]:
    """The licences of the songs, SPDX where they have such a name, each once."""
    return sorted({_licence(row) for row in selection.songs.values()})


def licence_links(selection: Selection) -> list[str]:
    """The licences as addresses where SPDX lists them."""
    return [f"https://spdx.org/licenses/{name}.html" if spdx_of(name) else name for name in licences_of(selection)]


def _licence(song: Mapping[str, Any]) -> str:
    told = song["license"] or "by permission of the owner (songs.csv)"
    return spdx_of(told) or str(told)


def _front_matter(selection: Selection, citation: Citation, configs: Sequence[Mapping[str, Any]]) -> str:
    names = licences_of(selection)
    matter: dict[str, Any] = {"pretty_name": citation.title}
    if len(names) == 1 and spdx_of(names[0]):
        matter["license"] = names[0].lower()
    else:
        matter |= {"license": "other", "license_name": "one-for-each-song", "license_link": "README.md#licences"}
    matter |= {
        "task_categories": ["audio-to-audio"],
        "tags": ["audio", "music", "dynamic-range-compression", "virtual-analog", "buscomp"],
        "size_categories": [next((name for limit, name in SIZES if len(selection.takes) < limit), "n>1M")],
    }
    if configs:
        matter["configs"] = [dict(config) for config in configs]
    return f"---\n{yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)}---"


def _contents(selection: Selection, whole: Selection, windows: Mapping[str, Window] | None) -> str:
    lines = ["## What is in it"]
    if selection.splits:
        rows = [(name, SPLIT_MEANING[name], count) for name, count in selection.splits.items()]
        lines.append(_table(("split", "meaning", "takes"), rows))
    if len(selection.takes):
        lines.append(_controls(selection))
        at = f"{selection.sample_rate} Hz, " if selection.sample_rate else ""
        channels = sorted({number for number in selection.takes["channels"].to_pylist() if number})
        shape = " or ".join({1: "mono", 2: "stereo"}.get(number, f"{number} channels") for number in channels)
        lines.append(f"Audio: FLAC, 24 bits, {at}{shape}.")
    if windows:
        lines.append(
            f"An excerpt of {len(whole.takes)} takes ({whole.hours:.3g} h): one window of each song, the loudest. "
            "Lengths, hashes and levels are those of the window; latency, noise and gain reduction of the whole take."
        )
        spans = []
        for song_id, window in windows.items():
            rate = selection.songs[song_id]["sample_rate"]
            spans.append((song_id, f"{window.start_frame / rate:.1f}", f"{window.frames / rate:.1f}"))
        lines.append(_table(("song", "from, s", "length, s"), spans))
    return "\n\n".join(lines)


def _controls(selection: Selection) -> str:
    """Where each control of the unit stands."""
    dataset = selection.dataset
    if not dataset.unit_path.exists():
        return ""
    values = [dataset.unit.from_row(row) for row in selection.settings.values()]
    rows = []
    for name, control in dataset.unit.controls.items():
        words = {shown(value[name]) for value in values}
        order = [shown(position) for position in control.positions if shown(position) in words]
        rows.append((control.label, name, ", ".join(order), control.meaning))
    return _table(("control", "column", "positions", "meaning"), rows)


def _captured(dataset: Dataset) -> str:
    """Unit, device, levels, latency, checks: figures over all takes of the dataset."""
    takes = read_arrow(dataset.table_path("takes"), "takes")
    accepted = takes.filter(pc.equal(takes["status"], ACCEPTED))
    lines = [f"Unit: {_text(_unit_name(dataset))}."]
    if len(units := sorted(set(accepted["unit_id"].to_pylist()))) > 1:
        lines.append(f"Captured through {len(units)} of them (column unit_id): {_text(', '.join(units))}.")
    sessions = dataset.rows("sessions") if dataset.table_path("sessions").exists() else []
    lines += _sessions(sessions)
    latency = _numbers(accepted, "latency_samples")
    if len(latency):
        lines.append(
            f"Alignment: a probe before each song finds the latency (median {np.median(latency):.2f} samples, "
            f"{latency.min():.2f} to {latency.max():.2f}); wet is moved by whole samples, the fraction stays in the "
            f"audio. Drift during a take: {_largest(accepted, 'drift_samples')} samples at most."
        )
    for column, what in (("noise_floor_dbfs", "Noise floor"), ("hum_dbfs", "Mains hum")):
        if len(values := _numbers(accepted, column)):
            lines.append(f"{what}: median {np.median(values):.1f} dBFS, largest {values.max():.1f} dBFS.")
    rejected = takes.filter(pc.equal(takes["status"], REJECTED))
    replaced = pc.sum(pc.equal(takes["status"], SUPERSEDED)).as_py() or 0
    lines.append(f"Takes: {len(accepted)} accepted, {len(rejected)} rejected, {replaced} replaced later.")
    reasons = Counter(reason for its in rejected["reasons"].to_pylist() for reason in its or [])
    lines += [f"Rejected for {_text(reason)}: {count}." for reason, count in reasons.most_common()]
    overridden = [text for text in accepted["override_reason"].to_pylist() if text]
    if overridden:
        lines.append(f"Accepted by a person against an alarm: {len(overridden)} (column override_reason).")
    if dataset.table_path("fingerprints").exists():
        verdicts = Counter(row["verdict"] for row in dataset.rows("fingerprints"))
        if verdicts:
            told = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
            lines.append(f"Knob positions proven from audio (fingerprints): {told}.")
    return "## How it was captured\n\n" + "\n".join(f"- {line}" for line in lines)


def _sessions(sessions: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    if not sessions:
        return
    device = Counter(
        ", ".join(str(s[name]) for name in ("device", "host_api") if s[name]) + (f" at {s['sample_rate']} Hz")
        for s in sessions
    )
    yield f"Device: {_text('; '.join(device))}; {_count(len(sessions), 'session')}."
    staged = {(s["send_boost_db"], s["return_trim_db"]) for s in sessions if s["send_boost_db"] is not None}
    for boost_db, trim_db in sorted(staged, key=str):
        yield f"Staging: {boost_db:+g} dB before the send, {trim_db or 0:+g} dB after the return, both digital."
    levels = {(s["dbu_at_0dbfs_out"], s["dbu_at_0dbfs_in"]) for s in sessions}
    for out, back in sorted(levels - {(None, None)}, key=str):
        yield f"Levels: 0 dBFS is {_dbu(out)} at the unit's input and {_dbu(back)} at the return."
    times = [s["started_at"] for s in sessions if s["started_at"]]
    if times:
        yield f"Captured from {min(times).date()} to {max(times).date()}."


def _licences(selection: Selection, whole: Selection) -> str:
    """The licence of every song, and what stayed behind."""
    rows = [
        (song_id, row["title"], row["artist"], row["source"], _licence(row)) for song_id, row in selection.songs.items()
    ]
    text = "## Licences\n\nEach song has its own; its takes are adaptations of it and bound by the same.\n\n"
    text += _table(("song", "title", "artist", "source", "licence"), rows)
    if bound := _conditions(selection):
        text += "\n\nWhoever passes them on:\n\n" + "\n".join(f"- {line}" for line in bound)
    if whole.left_out:
        text += "\n\nLeft out of this export, because they may not be passed on:\n\n"
        text += "\n".join(f"- {_text(line)}" for line in by_reason(whole.left_out))
    return text


def _conditions(selection: Selection) -> list[str]:
    """What the licences ask for, with the number of songs that ask it."""
    terms = [found for row in selection.songs.values() if (found := terms_of(row["license"])) is not None]
    asked = {
        "names the artist and the licence": sum(each.attribution for each in terms),
        "passes on under the same licence": sum(each.share_alike for each in terms),
        "does not do so for money": sum(each.non_commercial for each in terms),
    }
    return [f"{what} ({_count(songs, 'song')})" for what, songs in asked.items() if songs]


def _unit_name(dataset: Dataset) -> str:
    if not dataset.unit_path.exists():
        return "an unnamed unit"
    unit = dataset.unit
    serial = f", serial {unit.serial}" if unit.serial != "unknown" else ""
    return f"{unit.make} {unit.model}{serial}"


def _numbers(table: pa.Table, column: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([v for v in table[column].to_pylist() if v is not None and v == v], np.float64)


def _largest(table: pa.Table, column: str) -> str:
    values = np.abs(_numbers(table, column))
    return f"{values.max():.2f}" if len(values) else "unknown"


def _dbu(level: float | None) -> str:
    return "unknown" if level is None else f"{level:+.2f} dBu"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join("" if cell is None else _text(str(cell)) for cell in row) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads), *lines])


def _text(value: str) -> str:
    """Text from a file as Markdown shows it: no table, link, HTML or line of its own."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join(value.split())).replace("\\<", "&lt;")
