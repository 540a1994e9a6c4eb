"""`capture.plan` and the verb `plan`: counts, hours, bytes, moves, and a dry run that stays dry."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from buscomp.capture.grid import Grid, load_grid
from buscomp.capture.layout import TakeLayout
from buscomp.capture.plan import OVERHEAD_S_PER_TAKE, Plan, make_plan
from buscomp.capture.profiles import find_profile
from buscomp.cli import main
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.journal import Journal
from buscomp.manifests.schema import setting_columns
from buscomp.manifests.tables import read_rows, write_table
from buscomp.manifests.unit import Unit, load_unit

NOWHERE = Path("/nonexistent")
SSL = load_unit(find_profile("ssl-500-bus", NOWHERE, "unit"))
DEMO = load_grid(find_profile("grid-demo", NOWHERE, "grid"))


def song(number: int, seconds: float = 10.0, **changes: Any) -> dict[str, Any]:
    row = {"song_id": f"song-{number}", "status": "accepted", "dry_sha256": f"{number:064x}"}
    return row | {"sample_rate": 44_100, "frames": round(seconds * 44_100), "channels": 2} | changes


def demo(*songs: dict[str, Any]) -> Plan:
    return make_plan(songs, DEMO, SSL)


def test_175_songs_of_236_4_s_on_the_shipped_grid_are_38500_takes_and_2528_hours_of_songs() -> None:
    grid = load_grid(find_profile("grid", NOWHERE, "grid"))
    plan = make_plan([song(number, 236.43) for number in range(175)], grid, SSL)
    summary = plan.summary(overhead_s_per_take=2.5)
    assert summary["takes"] == len(plan.takes_rows) == 38_500
    assert summary["settings_by_origin"] == {"grid": 144, "random": 76}
    assert summary["combinations"] == 192
    assert summary["moves"]["grid"] == 143
    assert summary["moves"]["total"] == 143 + summary["moves"]["random"]
    songs_hours = summary["hours"] - summary["settling_hours"] - 38_500 * 2.5 / 3600
    assert songs_hours == pytest.approx(2528.5, abs=0.1)
    assert summary["wet_bytes"] == pytest.approx(2.41e12 * 0.60, rel=0.01)
    assert 105.4 < summary["days_continuous"] < 115
    assert summary["days_continuous"] == pytest.approx((summary["hours"] + summary["operator_hours"]) / 24)


def test_hours_are_songs_settling_and_overhead() -> None:
    summary = demo(song(0), song(1, 20.0)).summary(overhead_s_per_take=3.0)
    settling_s = 2 * (5 * 0.5 + 4 * 23.486)  # five settings at release 0.1 s, four at auto
    assert summary["settling_hours"] * 3600 == pytest.approx(settling_s, abs=0.1)
    assert summary["hours"] * 3600 == pytest.approx(9 * 30 + settling_s + 18 * 3.0, abs=0.1)
    assert summary["wet_bytes"] == round(9 * 30 * 44_100 * 2 * 3 * 0.60)


def test_the_overhead_is_what_the_layout_of_a_take_needs_beyond_song_and_settling() -> None:
    layout = TakeLayout.of(441_000, 44_100, settle_s=0.5, max_latency_samples=8192)
    assert layout.overhead_s - 0.5 == pytest.approx(OVERHEAD_S_PER_TAKE, abs=0.05)


def test_all_songs_are_played_at_a_setting_before_the_next() -> None:
    plan = demo(song(0), song(1), song(2))
    takes = plan.takes_rows
    assert [take["setting_id"] for take in takes[::3]] == [setting.setting_id for setting in plan.settings]
    assert [take["song_id"] for take in takes[:4]] == ["song-0", "song-1", "song-2", "song-0"]
    assert {take["unit_id"] for take in takes} == {"ssl-500-series-bus-compressor-unknown"}


def test_a_quarantined_song_is_not_planned() -> None:
    assert demo(song(0), song(1, status="quarantined")).takes_rows == demo(song(0)).takes_rows


def test_no_song_is_a_plan_of_settings_and_moves() -> None:
    summary = demo().summary()
    assert (summary["takes"], summary["hours"], summary["wet_bytes"]) == (0, 0.0, 0)
    assert summary["moves"]["grid"] > 0


def test_rows_fit_the_settings_table_and_the_journal(tmp_path: Path) -> None:
    plan = demo(song(0), song(1))
    path = tmp_path / "settings.parquet"
    write_table(path, "settings", json.loads(json.dumps(plan.settings_rows)), setting_columns(SSL))
    rows = read_rows(path, "settings")
    assert [SSL.from_row(row) for row in rows] == [dict(setting.values) for setting in plan.settings]
    assert [row["visit_order"] for row in rows] == list(range(9))
    assert rows[0]["moves_from_previous"] == 0
    assert sum(row["moves_from_previous"] for row in rows) == plan.summary()["moves"]["total"]
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert journal.plan(plan.takes_rows, {}) == 18
        assert [take["setting_id"] for take in journal.planned()] == [take["setting_id"] for take in plan.takes_rows]


def changed(unit: Unit, control: str, **fields: Any) -> Unit:
    other = unit.controls[control].model_copy(update=fields)
    return unit.model_copy(update={"controls": {**unit.controls, control: other}})


def test_the_hash_of_a_plan_does_not_depend_on_order_or_on_what_a_move_costs() -> None:
    plan = demo(song(0), song(1))
    assert demo(song(1), song(0)).sha256 == plan.sha256
    dearer = make_plan([song(0), song(1)], DEMO, changed(SSL, "ratio", move_cost_s=99.0, label="Ratio"))
    assert dearer.sha256 == plan.sha256
    assert [s.setting_id for s in dearer.settings] != [s.setting_id for s in plan.settings]


def test_the_hash_of_a_plan_changes_with_song_setting_unit_and_held_position() -> None:
    listed = DEMO.random
    assert listed is not None
    fewer = Grid.model_validate(
        DEMO.model_dump(exclude_unset=True) | {"random": {"settings": [dict(s) for s in listed.settings[:2]]}}
    )
    plans = [
        demo(song(0)),
        demo(song(0, dry_sha256="f" * 64)),
        demo(song(0), song(1)),
        make_plan([song(0)], fewer, SSL),
        make_plan([song(0)], DEMO, SSL.model_copy(update={"serial": "17"})),
        make_plan([song(0)], DEMO, changed(SSL, "makeup_db", held=5.0)),
        make_plan([song(0)], DEMO, changed(SSL, "threshold_db", panel_offset=0.0)),
    ]
    assert len({plan.sha256 for plan in plans}) == len(plans)


# the verb


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("BUSCOMP_DATASET", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "fresh"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_plan_in_an_empty_folder_takes_the_shipped_grid_and_writes_nothing(fresh: Path) -> None:
    result = CliRunner().invoke(main, ["plan", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["settings_by_origin"] == {"grid": 144, "random": 76}
    assert told["moves"]["grid"] == 143
    assert [row["visit_order"] for row in told["settings"]] == list(range(220))
    assert (told["takes"], told["songs"]) == (0, 0)
    assert "buscomp catalog" in result.stderr
    assert list(fresh.iterdir()) == []


def test_plan_counts_the_accepted_songs_of_the_catalog(
    fresh: Path, make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset = make_dataset(tmp_path / "other", songs=2, settings=2, seconds=1.0)
    songs = dataset.rows("songs")
    songs[0]["status"] = "quarantined"
    write_table(dataset.table_path("songs"), "songs", songs)
    before = {path: path.stat().st_mtime_ns for path in dataset.root.rglob("*")}
    arguments = ["plan", "--grid", "grid-demo.yaml", "--dataset", str(dataset.root)]
    told = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)
    assert (told["songs"], told["takes"]) == (1, 9)
    assert told["wet_bytes"] == round(9 * 44_100 * 6 * 0.60)
    assert {path: path.stat().st_mtime_ns for path in dataset.root.rglob("*")} == before
    text = CliRunner().invoke(main, arguments).stdout
    assert "Settings  9 = 6 grid of 24 combinations + 3 random" in text
    assert "Takes     9 = songs x settings = 1 x 9" in text


def test_plan_reads_the_datasets_own_unit(fresh: Path) -> None:
    unit = find_profile("ssl-500-bus", fresh, "unit").read_text()
    (fresh / "unit.yaml").write_text(unit.replace("serial: unknown", "serial: X-17"))
    told = json.loads(CliRunner().invoke(main, ["plan", "--grid", "grid-demo", "--json"]).stdout)
    assert told["unit_id"] == "ssl-500-series-bus-compressor-x-17"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--grid", "nope"], "no such grid profile, got nope"),
        (["--grid", "mine.yaml"], "mine.yaml:5: the grid has another number of settings than it promises, got 3"),
        (["--dataset", "gone"], "no such folder: gone"),
    ],
)
def test_plan_says_what_is_wrong_in_one_line_with_status_2(fresh: Path, arguments: list[str], message: str) -> None:
    mine = "unit: la-2a\nfactors:\n  peak_reduction: [0, 50, 100]\n  mode: [limit]\nexpect: 4\n"
    (fresh / "mine.yaml").write_text(mine)
    result = CliRunner().invoke(main, ["plan", *arguments])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {message}")
    assert result.stderr.count("\n") == 1
