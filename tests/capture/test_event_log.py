"""The log of a daemon: whole lines, and never in the way."""

from __future__ import annotations

import errno
import json
import math
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.capture.event_log import EventLog, plain


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_event_is_one_json_line_with_utc_and_monotonic_time(tmp_path: Path) -> None:
    with EventLog(tmp_path / "logs" / "s1.jsonl") as log:
        log.emit("take", take_id="t000001-1", reasons=("xrun",), level_db=np.float32(-20.5), noise=math.nan)
        log.emit("paused")
    first, second = rows(tmp_path / "logs" / "s1.jsonl")
    assert {name: first[name] for name in ("event", "take_id", "reasons", "level_db", "noise")} == {
        "event": "take",
        "take_id": "t000001-1",
        "reasons": ["xrun"],
        "level_db": -20.5,
        "noise": None,
    }
    assert datetime.fromisoformat(first["time"]).tzinfo == UTC
    assert second["monotonic_s"] >= first["monotonic_s"]


def test_a_second_session_of_the_same_name_goes_on_behind_what_is_there(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with EventLog(tmp_path / "s.jsonl") as log:
            log.emit(name)
    assert [row["event"] for row in rows(tmp_path / "s.jsonl")] == ["first", "second"]


def test_a_log_of_1000_events_keeps_the_newest_within_five_files_of_2_kb(tmp_path: Path) -> None:
    with EventLog(tmp_path / "s.jsonl", max_bytes=2048, kept=4) as log:
        for number in range(1000):
            log.emit("take", number=number)
    files = [tmp_path / "s.jsonl", *(tmp_path / f"s.{number}.jsonl" for number in (1, 2, 3, 4))]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in files)
    assert max(path.stat().st_size for path in files) <= 2048
    numbers = [row["number"] for path in reversed(files) for row in rows(path)]
    assert numbers == list(range(1000 - len(numbers), 1000))
    assert len(numbers) > 60


def test_a_full_disk_is_told_once_and_the_lines_that_are_missing_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = os.write
    full = False

    def write_or_not(descriptor: int, data: bytes) -> int:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", write_or_not)
    with EventLog(tmp_path / "s.jsonl") as log:
        log.emit("before")
        full = True
        for _ in range(3):
            log.emit("lost")
        full = False
        log.emit("after")
    assert [(row["event"], row.get("lost")) for row in rows(tmp_path / "s.jsonl")] == [
        ("before", None),
        ("log_gap", 3),
        ("after", None),
    ]
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_half_a_line_stays_alone_on_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    torn = iter([True, False, False, False])
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:20] if next(torn) else data))
    with EventLog(tmp_path / "s.jsonl") as log:
        log.emit("torn")
        log.emit("whole")
    half, gap, whole = (tmp_path / "s.jsonl").read_text().splitlines()
    assert len(half) == 20
    assert [json.loads(line)["event"] for line in (gap, whole)] == ["log_gap", "whole"]


def test_a_folder_that_cannot_be_made_is_told_once_and_raises_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    with EventLog(tmp_path / "logs" / "s.jsonl") as log:
        log.emit("one")
        log.emit("two")
    assert capsys.readouterr().err.count("cannot be written") == 1


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes() | st.binary(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(value=ANY)
def test_any_value_becomes_strict_json_on_one_line(value: object) -> None:
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
    assert "\n" not in text
    json.loads(text)
