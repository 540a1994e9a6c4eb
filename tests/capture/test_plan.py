"""`capture.plan` and the verb `plan`: counts, hours, bytes, moves, and a dry run that stays dry."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from buscomp.capture.design import Design
from buscomp.capture.fingerprint_signal import fingerprint_signal
from buscomp.capture.grid import Grid, load_grid
from buscomp.capture.layout import TakeLayout
from buscomp.capture.plan import FINGERPRINT_S, OVERHEAD_S_PER_TAKE, Plan, make_plan, planned_songs
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


def test_175_songs_of_236_4_s_on_the_shipped_grid_are_38500_takes_and_2528_hours_of_songs_in_3_seconds_of_cpu() -> None:
    grid = load_grid(find_profile("grid", NOWHERE, "grid"))
    songs = [song(number, 236.43) for number in range(175)]
    began_s = time.process_time()
    plan = make_plan(songs, grid, SSL)
    summary = plan.summary(overhead_s_per_take=2.5)
    assert summary["takes"] == len(plan.takes_rows) == 38_500
    assert time.process_time() - began_s < 3
    assert summary["settings_by_origin"] == {"grid": 144, "random": 76}
    assert summary["combinations"] == 192
    assert summary["moves"]["grid"] == 143
    assert summary["moves"]["random"] <= 139
    assert summary["moves"]["total"] == 143 + summary["moves"]["random"] + summary["moves"]["extra"]
    songs_hours = summary["hours"] - summary["settling_hours"] - summary["fingerprint_hours"] - 38_500 * 2.5 / 3600
    assert songs_hours == pytest.approx(2528.5, abs=0.1)
    assert summary["wet_bytes"] == pytest.approx(2.41e12 * 0.60, rel=0.01)
    assert 105.4 < summary["days_continuous"] < 115
    assert summary["days_continuous"] == pytest.approx((summary["hours"] + summary["operator_hours"]) / 24)


def test_hours_are_songs_settling_and_overhead() -> None:
    trusting = DEMO.model_copy(update={"fingerprint": False})
    summary = make_plan([song(0), song(1, 20.0)], trusting, SSL).summary(overhead_s_per_take=3.0)
    assert (summary["fingerprint_hours"], summary["hours_saved_by_design"]) == (0, 0)
    settling_s = 2 * (5 * 0.5 + 4 * 23.486)  # five settings at release 0.1 s, four at auto
    assert summary["settling_hours"] * 3600 == pytest.approx(settling_s, abs=0.1)
    assert summary["hours"] * 3600 == pytest.approx(9 * 30 + settling_s + 18 * 3.0, abs=0.1)
    assert summary["wet_bytes"] == round(9 * 30 * 44_100 * 2 * 3 * 0.60)


def test_the_overhead_is_what_the_layout_of_a_take_needs_beyond_song_and_settling() -> None:
    layout = TakeLayout.of(441_000, 44_100, settle_s=0.5, max_latency_samples=8192)
    assert layout.overhead_s - 0.5 == pytest.approx(OVERHEAD_S_PER_TAKE, abs=0.05)


def test_two_fingerprints_a_pass_last_as_long_as_their_layout_and_count_as_hours() -> None:
    signal_s = len(fingerprint_signal(44_100)) / 44_100
    assert signal_s == pytest.approx(FINGERPRINT_S, abs=0.5)
    with_them = demo(song(0)).summary()
    without = make_plan([song(0)], DEMO.model_copy(update={"fingerprint": False}), SSL).summary()
    settling_s = 5 * 0.5 + 4 * 23.486
    expected_s = 2 * (9 * (FINGERPRINT_S + OVERHEAD_S_PER_TAKE) + settling_s)
    assert with_them["fingerprint_hours"] * 3600 == pytest.approx(expected_s, abs=0.1)
    assert with_them["fingerprint_s_per_pass"] == pytest.approx(expected_s / 9, abs=0.1)
    assert with_them["hours"] - without["hours"] == pytest.approx(with_them["fingerprint_hours"])


def changed_demo(**fields: Any) -> Grid:
    return Grid.model_validate(DEMO.model_dump(exclude_unset=True) | fields)


def test_anchors_and_calibrations_are_counted_with_their_moves_and_minutes() -> None:
    plain = demo(song(0)).summary()
    summary = make_plan([song(0)], changed_demo(anchor={"every": 3}, calibrate=["attack_ms"]), SSL).summary()
    assert (summary["anchors"], summary["calibrations"]) == (4, 8)  # 0.3, 1, 3 and 10 ms, twice
    assert (plain["anchors"], plain["calibrations"], plain["moves"]["extra"]) == (0, 0, 0)
    assert summary["moves"]["extra"] >= 4 * 1 + 7
    assert {**summary["moves"], "extra": 0, "total": 0} == {**plain["moves"], "total": 0}
    assert summary["operator_hours"] > plain["operator_hours"]
    assert summary["hours"] - plain["hours"] == pytest.approx(summary["extra_visits_hours"])
    assert summary["extra_visits_hours"] * 3600 > 12 * (FINGERPRINT_S + OVERHEAD_S_PER_TAKE)


def test_contiguous_settling_takes_half_a_second_a_take() -> None:
    plan = make_plan([song(0), song(1)], changed_demo(settling="contiguous"), SSL)
    assert plan.settling == "contiguous"
    assert plan.summary()["settling_hours"] * 3600 == pytest.approx(18 * 0.5)


def test_a_block_of_songs_is_planned_and_the_hours_that_it_saves_are_told() -> None:
    songs = [song(number, 20.0) for number in range(6)]
    design = {"kind": "balanced-incomplete", "songs_per_setting": 2}
    full, some = demo(*songs).summary(), make_plan(songs, changed_demo(design=design), SSL)
    summary = some.summary()
    assert summary["takes"] == len(some.takes_rows) == 18
    assert full["hours"] - summary["hours"] == pytest.approx(summary["hours_saved_by_design"])
    assert summary["wet_bytes"] == pytest.approx(full["wet_bytes"] / 3)
    assert {row["song_id"] for row in some.takes_rows} == {f"song-{number}" for number in range(6)}


def test_fifty_hours_of_the_published_songs_are_a_fiftieth_of_the_full_design() -> None:
    printed = load_grid(find_profile("grid-192", NOWHERE, "grid"))
    design = Design(kind="balanced-incomplete", hours=50)
    grid = printed.model_copy(update={"design": design, "random": None, "order": "blocked-random"})
    summary = make_plan([song(number, 236.43) for number in range(175)], grid, SSL).summary()
    assert summary["takes"] * 236.43 / 3600 == pytest.approx(50, abs=0.1)
    assert summary["hours_saved_by_design"] == pytest.approx(2240, rel=0.03)


def test_every_unit_takes_every_song_at_the_same_play() -> None:
    plan = make_plan([song(0), song(1)], DEMO, SSL, ("ssl-1", "ssl-2"))
    one = demo(song(0), song(1)).summary()
    assert [(row["song_id"], row["unit_id"]) for row in plan.takes_rows[:4]] == [
        ("song-0", "ssl-1"),
        ("song-0", "ssl-2"),
        ("song-1", "ssl-1"),
        ("song-1", "ssl-2"),
    ]
    assert len({row["setting_id"] for row in plan.takes_rows[:4]}) == 1
    summary = plan.summary()
    assert (summary["units"], summary["takes"]) == (2, 2 * one["takes"])
    assert (summary["hours"], summary["wet_bytes"]) == (one["hours"], 2 * one["wet_bytes"])


def test_a_calendar_gives_the_day_on_which_it_is_finished_and_a_panel_that_turns_itself_waits_for_nobody() -> None:
    calendar = {"start": "2026-12-01", "operator": [{"visits": ["09:00"]}]}
    plan = make_plan([song(0, 3600.0)], changed_demo(shifts=calendar), SSL)
    told = plan.summary()["calendar"]
    assert told["finish"].startswith("2026-12-09T10:0")  # nine passes of an hour, one a day
    assert told["operator_visits"] == 9
    assert told["duty"] == pytest.approx(9 / (8 * 24 + 1), rel=0.05)
    free = plan.summary(hands_free=True)["calendar"]
    assert (free["start"], free["operator_visits"]) == ("2026-12-01T00:00", 0)
    assert free["days"] == pytest.approx(plan.summary()["days_continuous"])
    assert demo(song(0)).summary()["calendar"] is None


def test_the_calendar_places_all_the_work_and_all_the_turning_of_the_plan() -> None:
    plan = make_plan([song(0), song(1)], changed_demo(anchor={"every": 2}, calibrate=["attack_ms"]), SSL)
    passes, summary = plan.passes(), plan.summary()
    assert len(passes) == 9 + 1  # the last anchor
    assert sum(one.attended_s + one.full_s for one in passes) == pytest.approx(
        (summary["hours"] + summary["operator_hours"]) * 3600
    )


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
    calendar = {"start": "2026-12-01", "operator": [{"visits": ["09:00"]}]}
    for fields in ({"order": "tsp"}, {"order": "blocked-random"}, {"shifts": calendar}, {"calibrate": ["attack_ms"]}):
        assert make_plan([song(0), song(1)], changed_demo(**fields), SSL).sha256 == plan.sha256
    dearer = make_plan([song(0), song(1)], DEMO, changed(SSL, "ratio", move_cost_s=99.0, label="Ratio"))
    assert dearer.sha256 == plan.sha256
    assert [s.setting_id for s in dearer.settings] != [s.setting_id for s in plan.settings]


ONE_SONG = {"kind": "balanced-incomplete", "songs_per_setting": 1}


def test_the_hash_of_a_full_plan_of_one_unit_is_what_it_was_before_there_were_designs_and_several_units() -> None:
    as_before = "bb25b0b1504c064b3364d5fe364e9a7c651db5f214e8b1133aefdd634e0ff6bf"
    assert demo(song(0), song(1)).sha256 == as_before
    assert (
        make_plan([song(0), song(1)], changed_demo(design=ONE_SONG | {"songs_per_setting": 2}), SSL).sha256 == as_before
    )


def test_settings_that_are_added_leave_the_blocks_of_the_others_as_they_were_planned() -> None:
    listed = DEMO.random
    assert listed is not None
    songs = [song(number) for number in range(5)]
    fewer = changed_demo(random={"settings": [dict(s) for s in listed.settings[:2]]}, design=ONE_SONG)
    before = make_plan(songs, fewer, SSL)
    planned = planned_songs(before.takes_rows)
    after = make_plan(songs, changed_demo(design=ONE_SONG), SSL, planned=planned)
    assert {setting_id: set(after.songs_by_setting[setting_id]) for setting_id in planned} == planned
    assert len(after.takes_rows) == len(before.takes_rows) + 1
    again = make_plan(songs, changed_demo(design=ONE_SONG), SSL, planned=planned_songs(after.takes_rows))
    assert again.sha256 == after.sha256


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
        make_plan([song(0)], DEMO, SSL, ("ssl-1", "ssl-2")),
        make_plan([song(0), song(1)], changed_demo(design=ONE_SONG), SSL),
        make_plan([song(0), song(1)], changed_demo(design=ONE_SONG | {"seed": 7}), SSL),
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


MINE = """unit: la-2a
factors:
  peak_reduction: [0, 50, 100]
  mode: [limit]
expect: 3
calibrate: [peak_reduction]
anchor: {every: 2}
design: {kind: balanced-incomplete, songs_per_setting: 1}
shifts:
  start: 2026-12-01
  operator: [{visits: [09:00, 18:00]}]
"""


def test_plan_tells_visits_design_and_finish_in_one_line_each(
    fresh: Path, make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset = make_dataset(tmp_path / "other", songs=2, settings=2, seconds=1.0)
    dataset.unit_path.unlink()
    (dataset.root / "mine.yaml").write_text(MINE)
    arguments = ["plan", "--grid", "mine.yaml", "--dataset", str(dataset.root)]
    text = CliRunner().invoke(main, arguments).stdout
    assert "Visits    3 passes; 6 calibrations and 3 anchors, in " in text
    assert "Takes     3 of 6 songs x settings" in text
    assert "Design    every setting on a block of songs: saves 0.0 of 0." in text
    assert "Finish    2026-12-02 18:0" in text  # a pass at 9:00, 18:00 and 9:00, and at 18:00 the last anchor
    assert "; 4 visits, " in text
    told = json.loads(CliRunner().invoke(main, [*arguments, "--json", "--hands-free"]).stdout)
    assert told["calendar"]["operator_visits"] == 0
    assert told["calendar"]["finish"].startswith("2026-12-01T00:")


def test_plan_leaves_the_songs_of_a_block_that_is_captured_already(
    fresh: Path, make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    dataset = make_dataset(tmp_path / "other", songs=3, settings=2, seconds=1.0)
    dataset.unit_path.unlink()
    (dataset.root / "mine.yaml").write_text(MINE)
    takes = dataset.rows("takes")
    arguments = ["plan", "--grid", "mine.yaml", "--dataset", str(dataset.root), "--json"]
    free = json.loads(CliRunner().invoke(main, arguments).stdout)
    wanted = [{**take, "setting_id": "pea0_modlimit"} for take in takes if take["setting_id"] == takes[0]["setting_id"]]
    assert len(wanted) == 3
    write_table(dataset.table_path("takes"), "takes", wanted)
    kept = json.loads(CliRunner().invoke(main, arguments).stdout)
    assert (free["takes"], kept["takes"]) == (3, 5)  # all three songs at one setting, one at each of the others


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
