"""Results in the layouts of the papers' tables, with the papers' figures beside ours, as text, CSV or Markdown.

a           paper A, tables 2 to 4: L1 and M-STFT at seen and unseen settings, of songs never trained on
ablation    paper A, table 5: the same by songs and hours trained on
b           paper B, table 1: MAE, MSE, ESR + DC, M-STFT, loudness difference, Frechet distance, of test songs
all         every figure of every row of results: no paper's layout
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..manifests.cells import SEEN, UNSEEN
from .papers import printed_of, printed_rows
from .summary import SYSTEM

Row = dict[str, Any]
LAYOUTS = ("a", "b", "all")
SIDES = {SEEN: "seen", UNSEEN: "unseen"}
OF_B = {  # column of results: heading, as paper B has it
    "mae": "MAE", "mse": "MSE", "esr_dc": "ESR + DC", "mstft": "Multi-STFT", "lufs_difference_db": "LUFS diff",
    "frechet_distance": "Frechet",
}  # fmt: skip
OF_A = {"l1": "L1", "mstft": "M-STFT"}
OF_ALL = (
    "l1", "mse", "esr", "esr_dc", "mstft", "lufs_difference_db", "frechet_distance", "gain_trace_rmse_db",
    "gain_trace_cv_rmse_db", "polarity", "lag_samples", "gain_offset_db",
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """`rows` have a value for each of `headings`; None is left empty. `notes` say what they may be compared with."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    notes: tuple[str, ...] = ()


def paper_table(layout: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> Table:
    """`rows` of results in the layout `a`, `b` or `all`."""
    return {"a": _table_a, "b": _table_b, "all": _table_all}[layout](rows, tuple(notes))


def _table_a(rows: Sequence[Row], notes: tuple[str, ...]) -> Table:
    columns = [(metric, role) for metric in OF_A for role in SIDES]
    headings = ["model", "conditioning", "parameters", *(f"{OF_A[metric]} {SIDES[role]}" for metric, role in columns)]
    headings += [f"paper {heading}" for heading in headings[3:]]
    lines = []
    for system, cells in _by_system(rows).items():
        model, conditioning, params = system[:3]
        printed = printed_of("A", "234", model, conditioning)
        ours = [cells.get((UNSEEN, role), {}).get(metric) for metric, role in columns]
        theirs = [printed.get(f"{metric}_{SIDES[role]}") for metric, role in columns]
        lines.append((_named(system), conditioning, params, *ours, *theirs))
    return Table(tuple(headings), tuple(lines), notes)


def ablation_table(rows: Sequence[Row], sizes: Mapping[str, tuple[int, float]], notes: Sequence[str] = ()) -> Table:
    """`rows` of results of models that were trained on subsets, whose songs and hours are `sizes`."""
    columns = [(metric, role) for metric in OF_A for role in SIDES]
    headings = ["songs", "hours", *(f"{OF_A[metric]} {SIDES[role]}" for metric, role in columns)]
    headings += [f"paper {heading}" for heading in headings[2:]]
    printed = {(row.songs, row.hours): row.figures for row in printed_rows() if (row.paper, row.table) == ("A", "5")}
    systems = {system[-1]: cells for system, cells in _by_system(rows).items() if system[-1] in sizes}
    lines = []
    for subset, (songs, hours) in sizes.items():
        cells, theirs = systems.get(subset, {}), printed.get((songs, hours), {})
        ours = [cells.get((UNSEEN, role), {}).get(metric) for metric, role in columns]
        lines.append((songs, hours, *ours, *(theirs.get(f"{metric}_{SIDES[role]}") for metric, role in columns)))
    return Table(tuple(headings), tuple(lines), tuple(notes))


def _table_b(rows: Sequence[Row], notes: tuple[str, ...]) -> Table:
    headings = ["model", "conditioning", "parameters", "settings", *OF_B.values()]
    headings += [f"paper {name}" for name in OF_B.values()]
    lines = []
    for system, cells in _by_system(rows).items():
        model, conditioning, params = system[:3]
        printed = printed_of("B", "1", model, conditioning)
        theirs = [printed.get(metric) for metric in OF_B]
        for (song, setting), cell in cells.items():
            if song == UNSEEN:
                ours = [cell.get(metric) for metric in OF_B]
                lines.append((_named(system), conditioning, params, setting, *ours, *theirs))
    embeddings = sorted({row["frechet_embedding"] for row in rows if row.get("frechet_embedding")})
    told = f"Frechet distances of {', '.join(embeddings)}" if embeddings else "No Frechet distance without --embedding"
    notes += (f"{told}; paper B does not say of which embedding: never comparable.",)
    return Table(tuple(headings), tuple(lines), notes)


def _table_all(rows: Sequence[Row], notes: tuple[str, ...]) -> Table:
    more = [name for name in ("setting_id", "song_id", "unit_id", "take_id") if rows and name in rows[0]]
    shown = [metric for metric in OF_ALL if any(row.get(metric) is not None for row in rows)]
    spread = [name for name in (f"{metric}_song_std" for metric in shown) if any(row.get(name) for row in rows)]
    names = (*SYSTEM, "song_role", "setting_role", *more, "takes", "songs", *shown, *spread)
    return Table(names, tuple(tuple(row.get(name) for name in names) for row in rows), notes)


def gain_table(rows: Sequence[Row]) -> Table:
    """Gain-trace error in each cell that was measured, a row for each system."""
    cells = list(dict.fromkeys((row["song_role"], row["setting_role"]) for row in rows))
    headings = ("model", "conditioning", *(f"{song} / {setting}" for song, setting in cells))
    lines = [
        (_named(system), system[1], *(its.get(cell, {}).get("gain_trace_rmse_db") for cell in cells))
        for system, its in _by_system(rows).items()
    ]
    return Table(headings, tuple(lines))


def suspicions(rows: Sequence[Row]) -> list[str]:
    """What fakes or ruins the figures of `rows`: inverted, late or loud outputs, one line for each system and cell."""
    told = []
    for row in rows:
        polarity, lag, gain_db = row.get("polarity"), row.get("lag_samples"), row.get("gain_offset_db")
        faults = []
        if polarity is not None and polarity < 0:
            faults.append(f"is inverted (ESR {row['esr']:.2f})")
        if lag is not None and abs(lag) >= 0.1:
            faults.append(f"lags by {lag:.2f} samples" if lag > 0 else f"is {-lag:.2f} samples early")
        if gain_db is not None and abs(gain_db) >= 1 and row["params"]:
            faults.append(f"is {abs(gain_db):.1f} dB too {'loud' if gain_db > 0 else 'soft'}")
        if faults:
            where = f"{row['song_role']} songs, {row['setting_role']} settings"
            name = _named(tuple(row.get(part) for part in SYSTEM))
            told.append(f"{name} {' and '.join(faults)} ({where}): this is charged to every error above.")
    return told


def as_csv(table: Table) -> str:
    """Every digit there is."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.headings)
    writer.writerows([("" if value is None else value) for value in row] for row in table.rows)
    return text.getvalue()


def as_markdown(table: Table) -> str:
    """For a page: figures in four digits, notes below."""
    lines = [_bar(table.headings), _bar("---" if _is_words(table, i) else "---:" for i in range(len(table.headings)))]
    lines += [_bar(_shown(value).replace("|", "\\|") for value in row) for row in table.rows]
    return "\n".join([*lines, *(f"\n{note}" for note in table.notes)]) + "\n"


def as_lines(table: Table) -> list[str]:
    """For a terminal: columns that nothing stands in are left out."""
    kept = [i for i in range(len(table.headings)) if any(row[i] not in (None, "") for row in table.rows)]
    cells = [[table.headings[i] for i in kept], *([_shown(row[i]) or "-" for i in kept] for row in table.rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(kept))]
    lines = []
    for number, line in enumerate(cells):
        words = [
            (cell if cell != "-" or number == 0 else "").ljust(width) if _is_words(table, i) else cell.rjust(width)
            for cell, width, i in zip(line, widths, kept, strict=True)
        ]
        lines.append("  ".join(words).rstrip())
    return [*lines, *table.notes]


def _by_system(rows: Sequence[Row]) -> dict[tuple[Any, ...], dict[tuple[str, str], Row]]:
    systems: dict[tuple[Any, ...], dict[tuple[str, str], Row]] = {}
    for row in rows:
        system = tuple(row.get(name) for name in SYSTEM)
        systems.setdefault(system, {})[row.get("song_role") or "", row.get("setting_role") or ""] = row
    return systems


def _named(system: tuple[Any, ...]) -> str:
    model, _, _, _, subset = system
    return f"{model} on {subset}" if subset else str(model)


def _is_words(table: Table, column: int) -> bool:
    return any(isinstance(row[column], str) for row in table.rows)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _bar(cells: Any) -> str:
    return "| " + " | ".join(cells) + " |"
