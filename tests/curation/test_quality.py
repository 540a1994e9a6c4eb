"""Quality over time equals what numpy finds in the same takes, whatever their number."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.curation import quality
from buscomp.manifests.schema import column_names

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)


def takes_of(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Takes a minute apart, 1 h each, with what `rows` say of them."""
    shared = {"status": "accepted", "attempt": 1, "session_id": "one", "song_id": "a", "setting_id": "x", "reasons": []}
    shared |= {"frames": 48_000 * 3600, "sample_rate": 48_000}
    made = [
        {"take_id": f"t{n}", "sequence": n, "started_at": BEGIN + timedelta(minutes=n)} | shared | row
        for n, row in enumerate(rows)
    ]
    table = pd.DataFrame(made, columns=list(column_names("takes")))
    return table.astype({"started_at": "datetime64[us, UTC]"})


def nothing(table: str) -> pd.DataFrame:
    return pd.DataFrame({column: pd.Series(dtype=object) for column in column_names(table)})


@settings(max_examples=25)  # pandas takes 100 ms for each
@given(st.lists(st.floats(-200, 0), min_size=1, max_size=60), st.integers(1, 70))
def test_each_bin_has_the_quantiles_of_its_takes_and_every_take_is_in_one(levels: list[float], bins: int) -> None:
    measures = {"noise_floor_dbfs": "noise"}
    takes = takes_of([{"noise_floor_dbfs": level} for level in levels])
    table = quality.binned(quality.in_order(takes.sample(frac=1, random_state=3), measures), measures, bins)
    assert len(table) == min(bins, len(levels))
    assert table["takes"].sum() == len(levels)
    assert table["takes"].max() - table["takes"].min() <= 1
    start = 0
    for row in table.to_dict("records"):
        values = np.array(levels[start : start + row["takes"]])
        assert (row["first_take_id"], row["last_take_id"]) == (f"t{start}", f"t{start + row['takes'] - 1}")
        expected = [values.min(), *np.quantile(values, [0.1, 0.5, 0.9]), values.max()]
        found = [row[f"noise_floor_dbfs_{name}"] for name in ("min", "p10", "median", "p90", "max")]
        assert found == pytest.approx(expected, abs=1e-9)
        start += row["takes"]


def test_a_rejected_take_keeps_its_place_but_is_in_no_bin() -> None:
    rows: list[dict[str, Any]] = [
        {"latency_samples": 137.0},
        {"latency_samples": 900.0, "status": "rejected"},
        {"latency_samples": 138.0},
    ]
    data = quality.alignment(takes_of(rows)).data
    assert list(data["place"]) == [0, 2]
    assert list(data["latency_samples_median"]) == [137.0, 138.0]
    caption = quality.alignment(takes_of(rows)).caption
    assert "of 2 takes not rejected: latency 137.50 (137.00 to 138.00)" in caption
    assert "1 rejected take;" in caption


def test_takes_that_are_all_rejected_can_be_drawn() -> None:
    figure = quality.alignment(takes_of([{"latency_samples": 900.0 + n, "status": "rejected"} for n in range(3)]))
    assert figure.svg.startswith("<svg")
    assert len(figure.data) == 0
    assert "of 0 takes not rejected: –" in figure.caption


def test_a_session_knows_its_takes_alarms_hours_and_medians() -> None:
    takes = takes_of(
        [
            {"noise_floor_dbfs": -96.0, "latency_samples": 10.0},
            {
                "noise_floor_dbfs": -90.0,
                "latency_samples": 12.0,
                "override_reason": "heard it, ann",
                "reasons": ["hum"],
            },
            {"status": "rejected", "noise_floor_dbfs": -20.0, "reasons": ["xrun", "clock_drift"]},
            {"status": "planned", "session_id": None, "started_at": None},
            {"session_id": "two", "noise_floor_dbfs": -80.0},
        ]
    )
    fingerprints = nothing("fingerprints")
    fingerprints.loc[0, ["session_id", "reasons"]] = ["two", ["knob_moved"]]
    sessions = nothing("sessions")
    sessions.loc[0, ["session_id", "started_at"]] = ["zero", BEGIN - timedelta(days=1)]
    table = quality.by_session(sessions, takes, fingerprints).set_index("session_id")
    assert list(table.index) == ["zero", "one", "two"]
    counts = ["takes", "accepted", "rejected", "superseded", "overridden", "alarms", "hours"]
    assert table.loc["zero", counts].to_list() == [0, 0, 0, 0, 0, 0, 0.0]
    assert table.loc["one", counts].to_list() == [3, 2, 1, 0, 1, 3, 2.0]
    assert table.loc["two", counts].to_list() == [1, 1, 0, 0, 0, 1, 1.0]
    assert table.loc["one", ["noise_floor_dbfs", "latency_samples"]].to_list() == [-93.0, 11.0]
    assert table.loc["one", "began"] == BEGIN


def test_alarms_are_counted_by_session_and_reason() -> None:
    reasons = [["xrun"], ["xrun", "hum"], [], None, ["hum"]]
    sessions = ["one", "one", "one", "two", "two"]
    takes = takes_of([{"reasons": r, "session_id": s} for r, s in zip(reasons, sessions, strict=True)])
    table = quality.alarm_table(takes, nothing("fingerprints"))
    found = {(row.session_id, row.reason): row.alarms for row in table.itertuples()}
    assert found == {("one", "xrun"): 2, ("one", "hum"): 1, ("two", "hum"): 1}
    figure = quality.alarms(
        takes, nothing("fingerprints"), quality.by_session(nothing("sessions"), takes, nothing("fingerprints"))
    )
    assert figure.caption.startswith("4 alarms in 2 of 2 sessions, over 5 takes (5.0 h accepted); most: ")


def test_a_rejected_take_counts_under_each_reason_and_under_none_if_it_has_none() -> None:
    takes = takes_of(
        [
            {"status": "rejected", "reasons": ["xrun", "hum"]},
            {"status": "rejected", "reasons": ["xrun"], "song_id": "b"},
            {"status": "rejected", "reasons": None},
            {"reasons": ["hum"]},
        ]
    )
    table = quality.rejections(takes).set_index("reason")
    assert table["takes"].to_dict() == {"xrun": 2, "hum": 1, "no reason noted": 1}
    assert table.loc["xrun", ["songs", "settings", "sessions"]].to_list() == [2, 1, 1]
    assert table.loc["xrun", "last"] - table.loc["xrun", "first"] == timedelta(minutes=1)
