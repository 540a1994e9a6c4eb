"""The operator's page for a terminal: the same document, as lines."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from typing import Any

import click

from ..manifests.dataset import Dataset
from .panel_state import PanelState
from .standing import told

EVERY_S = 1.0
Row = dict[str, Any]


def watch(dataset: Dataset, as_json: bool, every_s: float = EVERY_S) -> None:
    """Print how the capture stands again and again, until Ctrl-C: on a terminal in one place, as JSON one document a
    line, else whenever something has changed."""
    state = PanelState(dataset)
    before: list[str] = []
    try:
        while True:
            document = {**state.read(), "live": state.meters()}
            if as_json:
                click.echo(json.dumps({name: value for name, value in document.items() if name != "front"}))
                sys.stdout.flush()
            elif (lines := watched(document)) != before:
                click.clear()
                click.echo("\n".join(lines))
                before = lines
            time.sleep(every_s)
    except KeyboardInterrupt:  # that is how one stops looking
        click.echo()


def watched(document: Row) -> list[str]:
    """What the page shows, a line for each thing."""
    if document["trouble"]:
        return [document["trouble"]]
    lines = told({**document["counts"], "daemon": document["daemon"]})
    if finish := document.get("finish"):
        by = "by the shifts of the grid" if finish["calendar"] else "if it goes on without a pause"
        lines.append(f"Finished: {datetime.fromisoformat(finish['at']):%Y-%m-%d %H:%M}, {by}.")
    if proof := document["proof"]:
        lines.append(f"Knobs: {proof['verdict']} at {proof['setting_id']}: {proof['told']}.")
    health = document["health"]
    figures = (
        ("latency", "latency_samples", "samples"),
        ("noise", "noise_floor_dbfs", "dBFS"),
        ("hum", "hum_dbfs", "dBFS"),
    )
    known = [f"{name} {health[key]:.1f} {unit}" for name, key, unit in figures if health[key] is not None]
    known.append(f"{health['xruns']} xruns")
    lines.append(f"Rack: {', '.join(known)}.")
    lines += _meters(document["live"])
    if question := document["question"]:
        bring = question["kind"] == "bring"
        lines.append(f"ASKED: set the unit to {question['setting_id']}" if bring else f"ASKED: {question['told']}")
        for move in question["moves"]:
            way = f": {move['way']}" if move["way"] else ""
            origin = "" if move["from"] is None else f"   (from {move['from']}{way})"
            lines.append(f"       {move['label']:<12} {move['to']}{origin}")
    return lines


def _meters(live: Row | None) -> list[str]:
    """What sounds, unit by unit."""
    if not live or not live.get("units"):
        return []
    lines = [f"Sounds: {live['song'] or 'fingerprint'}, {live['position_s']:.0f} of {live['length_s']:.0f} s."]
    for unit in live["units"]:
        send, back = (max(unit[f"{name}_rms_dbfs"]) for name in ("send", "return"))
        reduced = ""
        if unit["reduction_db"] is not None:
            reduced = f"; gain reduction {unit['reduction_db']:.1f} dB"
        if unit["expected_db"] is not None:
            reduced += f", expected {unit['expected_db']:.1f} dB"
        lines.append(f"        {unit['unit_id']}: send {send:.1f}, return {back:.1f} dBFS RMS{reduced}.")
    return lines
