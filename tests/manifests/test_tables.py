"""`manifests.tables`: a manifest is read as it was written, or refused by name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError
from buscomp.manifests.schema import TABLES, column_names
from buscomp.manifests.tables import MADE_BY, REBUILT_BY, read_made_with, read_rows, read_table, write_table

TAKES = [
    {"take_id": f"t{n:06d}-1", "song_id": f"song-{n}", "setting_id": "thr-28_att0p1", "attempt": 1, "sequence": n}
    | {"status": "accepted", "reasons": ["late"] * n, "latency_samples": 137.25, "xruns": None if n else 0}
    | {"started_at": datetime(2026, 1, 2, 3, 4, n, tzinfo=UTC)}
    for n in range(4)
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "takes.parquet"
    write_table(path, "takes", TAKES)
    return path


def damaged(path: Path, data: bytes) -> Path:
    other = path.with_name("damaged.parquet")
    other.write_bytes(data)
    return other


def test_rows_come_back_as_they_were_with_null_for_what_was_not_given(path: Path) -> None:
    rows = read_rows(path, "takes")
    for row, take in zip(rows, TAKES, strict=True):
        assert {name: row[name] for name in take} == take
        assert set(row) == set(column_names("takes"))
        assert row["wet_path"] is None


def test_an_empty_table_keeps_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "songs.parquet", "songs", [])
    assert list(read_table(tmp_path / "songs.parquet", "songs").columns) == list(column_names("songs"))


def test_a_key_that_is_no_column_is_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="splits has no column songid"):
        write_table(tmp_path / "splits.parquet", "splits", [{"songid": "a"}])
    assert list(tmp_path.iterdir()) == []


def test_a_value_of_the_wrong_type_is_an_error_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "takes.parquet"
    write_table(path, "takes", TAKES)
    with pytest.raises(pa.ArrowException):
        write_table(path, "takes", [{"take_id": "t", "frames": "many"}])
    assert len(read_rows(path, "takes")) == 4
    assert [p.name for p in tmp_path.iterdir()] == ["takes.parquet"]


def test_the_choices_that_led_to_a_table_stand_in_it(tmp_path: Path) -> None:
    write_table(tmp_path / "splits.parquet", "splits", [], made_with={"seed": 7, "mode": "peak"})
    assert read_made_with(tmp_path / "splits.parquet", "splits") == {"seed": 7, "mode": "peak"}
    write_table(tmp_path / "splits.parquet", "splits", [])
    assert read_made_with(tmp_path / "splits.parquet", "splits") == {}


@settings(max_examples=300)
@given(place=st.integers(min_value=0), mask=st.integers(1, 255))
def test_one_flipped_byte_anywhere_is_named_or_harmless(path: Path, place: int, mask: int) -> None:
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= mask
    try:
        rows = read_rows(damaged(path, bytes(data)), "takes")
    except DatasetError:
        return
    assert rows == read_rows(path, "takes")


@given(length=st.integers(min_value=0))
def test_a_table_cut_short_anywhere_is_damaged(path: Path, length: int) -> None:
    data = path.read_bytes()
    with pytest.raises(DatasetError, match=r"damaged\.parquet is damaged .*`buscomp verify --rebuild`"):
        read_rows(damaged(path, data[: length % len(data)]), "takes")


def test_a_flipped_letter_in_the_name_of_a_column_is_damage(path: Path) -> None:
    data = path.read_bytes()
    place = data.index(b"setting_id")  # in the footer, which has no checksum of its own
    with pytest.raises(DatasetError, match=r"damaged"):
        read_rows(damaged(path, data[:place] + b"Setting_id" + data[place + 10 :]), "takes")


def test_another_table_and_a_parquet_file_of_strangers_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"takes\.parquet holds another table, got takes \(allowed: songs\)"):
        read_rows(path, "songs")
    pq.write_table(pa.table({"song_id": ["a"]}), tmp_path / "songs.parquet")
    with pytest.raises(DatasetError, match="got no buscomp table"):
        read_rows(tmp_path / "songs.parquet", "songs")


def test_a_newer_schema_asks_for_a_newer_buscomp(path: Path, tmp_path: Path) -> None:
    table = pq.read_table(path)
    newer = table.replace_schema_metadata({**table.schema.metadata, b"buscomp_schema_version": b"2"})
    pq.write_table(newer, tmp_path / "takes.parquet")
    with pytest.raises(DatasetError, match=r"another schema version, got 2 \(allowed: 1\); update buscomp"):
        read_rows(tmp_path / "takes.parquet", "takes")


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_is_not_there_yet_says_which_verb_makes_it(tmp_path: Path, table: str) -> None:
    with pytest.raises(DatasetError, match=rf"{table}\.parquet does not exist yet; type `buscomp .*` first"):
        read_rows(tmp_path / f"{table}.parquet", table)
    assert MADE_BY[table]
    assert REBUILT_BY[table].startswith("type `buscomp ")


def test_strangers_read_units_and_meanings_with_pyarrow_alone(path: Path) -> None:
    field: Any = pq.read_schema(path).field("latency_samples")
    assert field.metadata[b"unit"] == b"samples"


def test_every_table_of_a_dataset_is_read_by_pandas_without_buscomp(dataset: Dataset) -> None:
    import pandas as pd

    for table in ("songs", "settings", "takes", "sessions", "splits"):
        pd.testing.assert_frame_equal(
            pd.read_parquet(dataset.table_path(table)), read_table(dataset.table_path(table), table)
        )
