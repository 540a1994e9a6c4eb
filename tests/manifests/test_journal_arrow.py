"""Rows of the journal by columns: the same values as row by row, and the same proof that none of them is spoilt."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError
from buscomp.manifests.journal import Journal
from buscomp.manifests.journal_arrow import table_of, tables_of
from buscomp.manifests.schema import arrow_schema
from buscomp.manifests.seal import is_intact, seal_of

NAMES = ("a", "b", "c")
VALUES = st.one_of(
    st.none(), st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=False), st.text(), st.binary()
)


def test_by_columns_and_by_rows_the_journal_holds_the_same(whole_dataset: Dataset) -> None:
    with whole_dataset.journal() as journal:
        assert table_of(journal, "takes").to_pylist() == journal.takes()
        assert table_of(journal, "sessions").to_pylist() == journal.sessions()
        assert table_of(journal, "fingerprints").to_pylist() == journal.fingerprints() == []


def test_reasons_nulls_and_times_with_and_without_fractions_come_through(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.plan([{"song_id": f"s{n}", "setting_id": "x", "unit_id": "u"} for n in range(3)], {})
        for take, second, micro in zip(journal.planned(), (0, 1), (0, 250_000), strict=False):
            began = datetime(2026, 1, 2, 3, 4, second, micro, tzinfo=UTC)
            journal.reject(take["take_id"], {"reasons": ["clipped", "xrun"], "started_at": began, "xruns": 2})
        rows = table_of(journal, "takes").to_pylist()
        assert rows == journal.takes()
    assert rows[0]["reasons"] == ["clipped", "xrun"]
    assert rows[2]["started_at"] == datetime(2026, 1, 2, 3, 4, 1, 250_000, tzinfo=UTC)
    assert rows[4]["reasons"] is None


def test_an_empty_journal_gives_an_empty_table_with_every_column(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert list(tables_of(journal, "takes")) == []
        assert table_of(journal, "takes").schema.names == arrow_schema("takes").names


def test_a_spoilt_row_is_an_error_by_columns_too(dataset: Dataset) -> None:
    database = sqlite3.connect(dataset.journal_path)
    database.execute("UPDATE takes SET latency_samples = 137.5 WHERE take_id = 't000003-1'")
    database.commit()
    database.close()
    with (
        dataset.journal() as journal,
        pytest.raises(DatasetError, match=r"t000003-1 in takes is not as it was written"),
    ):
        table_of(journal, "takes")


@given(row=st.tuples(VALUES, VALUES, VALUES), other=st.tuples(VALUES, VALUES, VALUES))
def test_rows_have_the_same_seal_only_when_they_are_the_same(
    row: tuple[object, ...], other: tuple[object, ...]
) -> None:
    same = [(type(value), repr(value)) for value in row] == [(type(value), repr(value)) for value in other]
    assert (seal_of(NAMES, *row) == seal_of(NAMES, *other)) == same
    assert is_intact(seal_of(NAMES, *row), NAMES, row)


def test_a_column_that_is_added_later_and_is_null_breaks_no_seal() -> None:
    assert seal_of(NAMES, 1, 2.5, "x") == seal_of((*NAMES, "d"), 1, 2.5, "x", None)
    assert seal_of(NAMES, 1, 2.5, "x") != seal_of(("a", "b", "d"), 1, 2.5, "x")


def test_the_seals_of_older_journals_still_hold() -> None:
    assert is_intact("580d559edd1cdbb2", NAMES, ("t000041-2", None, 1.5))
    assert not is_intact("580d559edd1cdbb2", NAMES, ("t000041-2", None, 1.25))
