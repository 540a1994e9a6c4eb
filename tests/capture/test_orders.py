"""Orders: a take made again, an alarm accepted by name, while the capture runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from buscomp.capture import session
from buscomp.capture.orders import ORDERS, Order, Orders, Override, Retake, give_order
from buscomp.cli import main
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import UsageError
from buscomp.tests.capture_songs import GRID, put_songs


def test_orders_come_in_the_order_in_which_they_were_given_each_once(tmp_path):
    dataset = Dataset(tmp_path)
    orders = Orders(dataset)
    given: list[Order] = [Retake("t000001-1"), Override("hum", "transformer"), Retake("t000002-1")]
    for order in given:
        give_order(dataset, order)
    assert [orders.next() for _ in range(4)] == [*given, None]


def test_what_is_no_order_is_thrown_away_and_harms_nothing(tmp_path):
    dataset = Dataset(tmp_path)
    orders = Orders(dataset)
    (tmp_path / ORDERS).mkdir()
    for number, nonsense in enumerate(("", "[]", '{"order": "rm"}', '{"order": "retake", "take_id": 7}', "\x00")):
        (tmp_path / ORDERS / f"{number}.json").write_text(nonsense)
    give_order(dataset, Retake("t000001-1"))
    assert [orders.next(), orders.next()] == [Retake("t000001-1"), None]
    assert list((tmp_path / ORDERS).iterdir()) == []


@pytest.mark.parametrize(
    "order",
    [Retake("../journal"), Retake(""), Override("frames", "x"), Override("nonsense", "x"), Override("hum", "  ")],
)
def test_an_order_that_cannot_be_meant_is_refused_and_leaves_nothing(tmp_path, order):
    with pytest.raises(UsageError):
        give_order(Dataset(tmp_path), order)
    assert not (tmp_path / ORDERS).exists()


def test_orders_of_before_are_forgotten_and_a_hundred_are_enough(tmp_path):
    dataset = Dataset(tmp_path)
    for _ in range(100):
        give_order(dataset, Retake("t000001-1"))
    with pytest.raises(UsageError, match="100 orders wait already"):
        give_order(dataset, Retake("t000001-1"))
    assert Orders(dataset).next() is None


def captured(root: Path, monkeypatch: pytest.MonkeyPatch, at: int, orders: list[Any], *words: str) -> Dataset:
    """A capture of two songs at four settings that is given `orders` when its play number `at` is judged."""
    dataset = Dataset(put_songs(root, songs=2, seconds=1.0, grid=GRID))
    judge, plays = session.Session._decide, [0]

    def decide(self, *arguments):
        plays[0] += 1
        if plays[0] == at:
            for order in orders:
                give_order(dataset, order)
        return judge(self, *arguments)

    monkeypatch.setattr(session.Session, "_decide", decide)
    line = ["capture", "--device", "virtual", "--grid", "grid.yaml", "--dataset", str(root), "--operator", "ada"]
    told = CliRunner().invoke(main, [*line, *words])
    assert told.exit_code == 0, told.output
    return dataset


def rows(dataset: Dataset) -> list[tuple[str, str, list[str]]]:
    return [(row["take_id"], row["status"], row["reasons"]) for row in dataset.rows("takes")]


def test_a_take_of_this_pass_and_one_of_a_pass_before_are_made_again_in_the_same_session(tmp_path, monkeypatch):
    wanted = [Retake("t000000-1"), Retake("t000004-1"), Retake("t999999-1")]
    dataset = captured(tmp_path / "d", monkeypatch, 6, wanted)
    found = {take_id: (status, reasons) for take_id, status, reasons in rows(dataset)}
    assert found["t000000-1"] == ("superseded", ["retake"])
    assert found["t000004-1"] == ("superseded", ["retake"])
    assert found["t000000-2"] == found["t000004-2"] == ("accepted", [])
    assert len(found) == 10
    started = {row["take_id"]: row["started_at"] for row in dataset.rows("takes")}
    assert started["t000005-1"] < started["t000004-2"] < started["t000006-1"] < started["t000000-2"]
    assert (dataset.root / "attempts" / "t000000-1" / "wet.flac").is_file()
    assert CliRunner().invoke(main, ["verify", "--dataset", str(dataset.root)]).exit_code == 0
    assert 'retake_refused", "take_id": "t999999-1"' in next((dataset.root / "logs").iterdir()).read_text()


def test_a_take_that_has_not_been_made_yet_is_made_and_then_made_again(tmp_path, monkeypatch):
    found = rows(captured(tmp_path / "d", monkeypatch, 1, [Retake("t000003-1")]))
    assert [(take_id, status) for take_id, status, _ in found if take_id.startswith("t000003")] == [
        ("t000003-1", "superseded"),
        ("t000003-2", "accepted"),
    ]


def test_an_alarm_accepted_on_the_way_is_accepted_from_then_on_in_the_operators_name(tmp_path, monkeypatch):
    dataset = captured(tmp_path / "d", monkeypatch, 3, [Override("hum", "transformer next door")], "--fault", "hum:-70")
    found = dataset.rows("takes")
    assert sum(row["status"] == "rejected" for row in found) == 3  # those that were judged before
    accepted = [row for row in found if row["status"] == "accepted"]
    assert len(accepted) == 8
    assert {row["override_reason"] for row in accepted} == {"hum: ada: transformer next door"}
