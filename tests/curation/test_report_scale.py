"""The page of 38,500 takes at 220 settings of 175 songs is as light as that of a small dataset. Counted, not timed."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from buscomp.curation import quality
from buscomp.curation.drawing import Figure
from buscomp.curation.report import LISTED_UP_TO, Report, report
from buscomp.manifests.dataset import Dataset
from buscomp.tests.curation.whole_capture import write_whole_capture

pytestmark = pytest.mark.slow
SONGS, SETTINGS = 175, 220
MARKS = re.compile(r"<(?:path|use|text|image|rect|circle|line|polyline|polygon)\b")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_whole_capture(tmp_path_factory.mktemp("whole") / "dataset", SONGS, SETTINGS)


@pytest.fixture(scope="module")
def made(whole: Dataset) -> Report:
    return report(whole)


def csv(made: Report, name: str) -> pd.DataFrame:
    (path,) = (path for path in made.data if path.stem == name)
    return pd.read_csv(path)


def test_no_figure_holds_more_than_2000_elements(made: Report) -> None:
    page = made.page.read_text()
    drawings = re.findall(r"data:image/svg\+xml;base64,([\w+/=]+).*?report-data/(\w+)\.csv", page, re.S)
    counts = {name: len(MARKS.findall(base64.b64decode(found).decode())) for found, name in drawings}
    assert len(counts) == 15
    assert max(counts.values()) <= 2000, counts


def test_the_page_and_its_data_stay_small(made: Report) -> None:
    assert made.page.stat().st_size < 2_500_000
    assert sum(path.stat().st_size for path in made.data) < 1_000_000


def test_every_take_is_counted_once(whole: Dataset, made: Report) -> None:
    good = int((whole.takes["status"] == "accepted").sum())
    assert csv(made, "gain_reduction_by_setting")["takes"].sum() == good
    assert csv(made, "alignment")["takes"].sum() == good
    assert len(csv(made, "alignment")) == len(csv(made, "levels_over_time")) == quality.BINS
    states = csv(made, "capture_map")
    assert states[["first", "later", "planned", "open"]].to_numpy().sum() == SONGS * SETTINGS
    assert len(states) == len(csv(made, "gain_reduction_by_setting")) == SETTINGS


def test_every_rejected_take_is_named_with_its_reasons(whole: Dataset, made: Report) -> None:
    rejected = whole.takes[whole.takes["status"] == "rejected"]
    written = csv(made, "rejected")
    assert len(rejected) > 100
    assert list(written["take_id"]) == list(rejected.sort_values("sequence")["take_id"])
    assert list(written["reasons"]) == ["; ".join(its) for its in rejected.sort_values("sequence")["reasons"]]
    assert set(written["outcome"]) == {"retaken"}
    page = made.page.read_text()
    assert all(f">{take_id}</td>" in page for take_id in rejected["take_id"])


def test_sessions_add_up_to_the_whole(whole: Dataset, made: Report) -> None:
    sessions = csv(made, "sessions")
    reasons = whole.takes["reasons"].map(len).sum()
    assert len(sessions) == 36
    assert sessions["takes"].sum() == (whole.takes["status"] != "planned").sum()
    assert sessions["alarms"].sum() == csv(made, "alarms")["alarms"].sum() == reasons
    takes = whole.takes[whole.takes["status"] == "accepted"]
    assert sessions["hours"].sum() == pytest.approx(takes["frames"].sum() / 44_100 / 3600)
    third = takes.loc[takes["session_id"] == sessions["session_id"][2], "noise_floor_dbfs"]
    assert sessions["noise_floor_dbfs"][2] == pytest.approx(np.median(third))


def test_our_row_of_table_1_is_computed_from_the_takes(whole: Dataset, made: Report) -> None:
    takes = whole.takes[whole.takes["status"] == "accepted"]
    table = csv(made, "datasets")
    ours = table[table["is_ours"]].iloc[0]
    assert ours["hours"] == pytest.approx((takes["frames"] / takes["sample_rate"]).sum() / 3600)
    assert ours["combinations"] == SETTINGS
    assert len(table) == 8


def test_more_rejected_takes_than_can_be_read_become_pixels_and_a_list_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = write_whole_capture(tmp_path / "bad", songs=30, settings=30, rejected=0.9)
    svg = quality.alignment(bad.takes).svg
    assert (bad.takes["status"] == "rejected").sum() > 700
    assert len(MARKS.findall(svg)) <= 300
    assert svg.count("<image") == 3
    monkeypatch.setattr(Figure, "svg", "<svg></svg>")
    page = report(bad).page.read_text()
    assert page.count(">retaken</td>") == LISTED_UP_TO == 500
