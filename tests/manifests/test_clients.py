"""The manifests are plain Parquet: DuckDB, polars and pandas read them as they are."""

from __future__ import annotations

import pandas
import pytest

from buscomp.manifests.dataset import Dataset
from buscomp.manifests.schema import TABLES


def test_pandas_reads_times_lists_and_nulls_without_help(whole_dataset: Dataset) -> None:
    takes = pandas.read_parquet(whole_dataset.table_path("takes"))
    assert len(takes) == 12
    assert str(takes["started_at"].dt.tz) == "UTC"
    assert list(takes["reasons"][0]) == []
    assert takes["cv_path"].isna().all()


def test_polars_reads_and_joins_without_help(whole_dataset: Dataset) -> None:
    polars = pytest.importorskip("polars", reason="needs polars")
    takes = polars.scan_parquet(whole_dataset.table_path("takes"))
    settings = polars.scan_parquet(whole_dataset.table_path("settings"))
    joined = takes.join(settings, on="setting_id").filter(polars.col("ratio") == 2).collect()
    assert joined.height == 12
    assert joined.schema["started_at"] == polars.Datetime("us", "UTC")
    assert joined.schema["reasons"] == polars.List(polars.String)


def test_duckdb_reads_and_joins_without_help(whole_dataset: Dataset) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb")
    folder = whole_dataset.root / "manifests"
    found = duckdb.sql(
        f"""
        SELECT origin, COUNT(*), MIN(static_gain_db), LIST(DISTINCT len(reasons)), MIN(year(started_at))
        FROM '{folder}/takes.parquet' JOIN '{folder}/settings.parquet' USING (setting_id)
        WHERE status = 'accepted' GROUP BY origin ORDER BY origin
        """
    ).fetchall()
    assert found == [("grid", 6, -2.0, [0], 2026), ("random", 6, -4.0, [0], 2026)]


@pytest.mark.parametrize("table", ["songs", "settings", "takes", "sessions", "splits", "fingerprints"])
def test_every_table_has_the_same_columns_in_all_of_them(whole_dataset: Dataset, table: str) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb")
    polars = pytest.importorskip("polars", reason="needs polars")
    path = whole_dataset.table_path(table)
    columns = list(pandas.read_parquet(path).columns)
    assert duckdb.sql(f"SELECT * FROM '{path}'").columns == columns
    assert polars.read_parquet_schema(path).names() == columns
    assert table == "settings" or columns == [column.name for column in TABLES[table]]
