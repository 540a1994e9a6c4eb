"""Gain reduction and coverage by setting, control and pair of controls equal what a loop over the takes finds."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from buscomp.curation import coverage, exhibits, gain_reduction
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.unit import shown
from buscomp.tests.curation.whole_capture import write_whole_capture

SONGS, SETTINGS = 5, 24


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_whole_capture(
        tmp_path_factory.mktemp("tables") / "dataset", songs=SONGS, settings=SETTINGS, sessions=3
    )


@pytest.fixture(scope="module")
def accepted(tables: Dataset) -> pd.DataFrame:
    return tables.takes[tables.takes["status"] == "accepted"]


def placed(dataset: Dataset, take: pd.Series) -> dict[str, str]:
    """Where the knobs stood at `take`, as people write it."""
    row = dataset.settings[dataset.settings["setting_id"] == take["setting_id"]].to_dict("records")[0]
    return {name: shown(value) for name, value in dataset.unit.from_row(row).items()}


def test_the_mean_and_the_spread_of_each_setting(tables: Dataset, accepted: pd.DataFrame) -> None:
    table = gain_reduction.setting_table(accepted, tables.settings)
    for row in table.itertuples():
        values = accepted.loc[accepted["setting_id"] == row.setting_id, "gain_reduction_mean_db"].to_numpy()
        assert row.takes == len(values)
        assert row.mean_db == pytest.approx(values.mean())
        assert (row.p10_db, row.p90_db) == pytest.approx(tuple(np.quantile(values, [0.1, 0.9])))
    assert list(table["mean_db"]) == sorted(table["mean_db"])
    assert table["takes"].sum() == len(accepted)


def test_the_median_at_each_position_in_the_order_of_the_panel(tables: Dataset, accepted: pd.DataFrame) -> None:
    positions = exhibits.positions_of(tables, tables.settings)
    table = gain_reduction.control_table(accepted, tables.settings, positions)
    knobs = [placed(tables, take) for _, take in accepted.iterrows()]
    for row in table.itertuples():
        here = [knob[row.control] == row.position for knob in knobs]
        assert row.takes == sum(here)
        assert row.median_db == pytest.approx(np.median(accepted["gain_reduction_mean_db"].to_numpy()[here]))
    for control in positions:
        order = [shown(position) for position in tables.unit.controls[control].positions]
        found = list(table.loc[table["control"] == control, "position"])
        assert found == [word for word in order if word in found]


def test_the_mean_at_each_pair_of_positions(tables: Dataset, accepted: pd.DataFrame) -> None:
    positions = exhibits.positions_of(tables, tables.settings)
    table = gain_reduction.pair_table(accepted, tables.settings, positions)
    knobs = [placed(tables, take) for _, take in accepted.iterrows()]
    reduction_db = accepted["gain_reduction_mean_db"].to_numpy()
    for row in table.sample(40, random_state=1).itertuples():
        pair = [k[row.control_a] == row.position_a and k[row.control_b] == row.position_b for k in knobs]
        assert (row.takes, row.mean_db) == (sum(pair), pytest.approx(reduction_db[pair].mean()))
        assert row.settings == accepted.loc[pair, "setting_id"].nunique()
    for a, b in combinations(positions, 2):
        assert table.loc[(table["control_a"] == a) & (table["control_b"] == b), "takes"].sum() == len(accepted)


def test_coverage_has_every_pair_that_the_panel_allows_and_counts_seen_and_unseen_apart(tables: Dataset) -> None:
    positions = exhibits.positions_of(tables, tables.settings)
    captured = set(tables.settings["setting_id"].iloc[:10])
    table = coverage.coverage_table(tables.settings, tables.unit, positions, captured)
    sizes = {name: len(tables.unit.controls[name].positions) for name in positions}
    assert len(table) == sum(sizes[a] * sizes[b] for a, b in combinations(positions, 2))
    rows = tables.settings.to_dict("records")
    words = [{name: shown(value) for name, value in tables.unit.from_row(row).items()} for row in rows]
    for row in table.itertuples():
        here = [w[row.control_a] == row.position_a and w[row.control_b] == row.position_b for w in words]
        there = [setting for setting, is_here in zip(rows, here, strict=True) if is_here]
        assert row.seen == sum(setting["origin"] == "grid" for setting in there)
        assert row.unseen == sum(setting["origin"] == "random" for setting in there)
        assert row.captured == sum(setting["setting_id"] in captured for setting in there)


def test_positions_that_no_setting_visits_are_named(tables: Dataset) -> None:
    grid = tables.settings[tables.settings["origin"] == "grid"].reset_index(drop=True)
    missing = coverage.never_visited(tables.unit, exhibits.positions_of(tables, grid))
    assert missing["attack_ms"] == ["0.3", "3", "10", "30"]  # the first 16 of the grid stand at 0.1 and 1
    assert missing["release_s"] == ["0.2", "1.6"]
    assert missing["ratio"] == ["1.5", "3", "5"]
    assert "threshold_db" not in missing  # all at -28: not varied


def test_the_map_of_captures_counts_every_pair_of_song_and_setting_once(tables: Dataset) -> None:
    data = coverage.capture_map(tables.settings, tables.takes).data
    assert list(data["setting_id"]) == list(tables.settings.sort_values("visit_order")["setting_id"])
    last = tables.takes.sort_values("attempt").drop_duplicates(["song_id", "setting_id"], keep="last")
    later = (last["attempt"] > 1) & (last["status"] == "accepted")
    assert data["first"].sum() == ((last["attempt"] == 1) & (last["status"] == "accepted")).sum()
    assert data["later"].sum() == later.sum()
    assert data["planned"].sum() == 10
    assert data[["first", "later", "planned", "open"]].to_numpy().sum() == SONGS * SETTINGS


def test_a_rejected_take_without_a_successor_is_open(tables: Dataset) -> None:
    takes = tables.takes.copy()
    takes.loc[0, "status"] = "rejected"
    data = coverage.capture_map(tables.settings, takes).data
    assert data.iloc[0][["first", "later", "planned", "open"]].to_list() == [SONGS - 1, 0, 0, 1]


def test_one_varied_control_makes_no_pairs_and_two_make_one(
    tables: Dataset, accepted: pd.DataFrame, tmp_path: Path
) -> None:
    positions = exhibits.positions_of(tables, tables.settings)
    two = {name: positions[name] for name in ("threshold_db", "ratio")}
    figure = coverage.coverage(tables.settings, tables.unit, two, set())
    assert set(figure.data["control_a"]) == {"threshold_db"}
    assert figure.write(tmp_path)[0].stat().st_size > 5000
    assert len(gain_reduction.by_pair(accepted, tables.settings, two).data["control_b"].unique()) == 1
