"""`manifests.schema`: every column says what it is."""

from __future__ import annotations

import re

import pytest

from buscomp.manifests.schema import SCHEMA_VERSION, TABLES, TYPES, Column, arrow_schema, setting_columns
from buscomp.manifests.unit import load_unit
from buscomp.tests.small_dataset import UNIT_PATH

SUFFIXES = {
    "_hz": "Hz", "_s": "s", "_ms": "ms", "_db": "dB", "_dbfs": "dB", "_dbtp": "dB", "_lufs": "LUFS", "_bpm": "BPM",
    "_samples": "samples",
}  # fmt: skip
COLUMNS = [(table, column) for table, columns in TABLES.items() for column in columns]
SSL_COLUMNS = [("settings", column) for column in setting_columns(load_unit(UNIT_PATH))]


@pytest.mark.parametrize(("table", "column"), COLUMNS + SSL_COLUMNS, ids=lambda value: getattr(value, "name", value))
def test_every_column_has_a_type_a_meaning_and_the_unit_of_its_suffix(table: str, column: Column) -> None:
    assert column.type in TYPES
    assert column.meaning
    assert re.fullmatch(r"[a-z][a-z0-9_]*", column.name)
    suffix = next((s for s in sorted(SUFFIXES, key=len, reverse=True) if column.name.endswith(s)), None)
    if suffix:
        assert column.unit == SUFFIXES[suffix], f"{table}.{column.name}"


@pytest.mark.parametrize("table", TABLES)
def test_no_table_has_a_column_twice(table: str) -> None:
    names = arrow_schema(table).names
    assert len(set(names)) == len(names)


def test_unit_and_meaning_and_versions_travel_with_the_arrow_schema() -> None:
    schema = arrow_schema("takes")
    assert schema.field("latency_samples").metadata[b"unit"] == b"samples"
    assert b"positive: wet lags dry" in schema.field("latency_samples").metadata[b"meaning"]
    assert schema.metadata[b"buscomp_table"] == b"takes"
    assert schema.metadata[b"buscomp_schema_version"] == SCHEMA_VERSION.encode()
    assert schema.metadata[b"buscomp_version"]


def test_settings_of_the_ssl_unit_have_a_column_for_auto_beside_the_release() -> None:
    names = [column.name for _, column in SSL_COLUMNS]
    assert names[names.index("release_s") + 1] == "release_auto"
    assert next(column.type for _, column in SSL_COLUMNS if column.name == "release_auto") == "bool"
