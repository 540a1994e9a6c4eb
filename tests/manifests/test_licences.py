"""What may be passed on, by licence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.manifests.licences import TERMS, Terms, may_export, may_redistribute, spdx_of, terms_of


@pytest.mark.parametrize(
    "licence",
    [
        "CC0-1.0",
        "cc0",
        "CC BY 4.0",
        "cc-by-sa-3.0",
        "CC-BY-NC-4.0",
        "public domain",
        "GPL-2+",
        "GPL-3.0-or-later",
        "MIT",
    ],
)
def test_a_licence_that_allows_changed_copies_may_be_redistributed_however_it_is_written(licence: str) -> None:
    assert may_redistribute(licence)


@pytest.mark.parametrize(
    "licence",
    [
        None,
        "",
        "  ",
        "CC-BY-ND-4.0",
        "CC BY-NC-ND 4.0",
        "all rights reserved",
        "LicenseRef-Studio",
        "CC-BY-9.0",
        "ask me",
    ],
)
def test_no_derivatives_and_whatever_is_unknown_may_not(licence: str | None) -> None:
    assert not may_redistribute(licence)


def test_the_terms_name_what_an_export_is_bound_to() -> None:
    assert terms_of("CC-BY-NC-SA-4.0") == Terms(True, attribution=True, share_alike=True, non_commercial=True)
    assert terms_of("CC0-1.0") == Terms(True)
    assert terms_of("LicenseRef-Studio") is None


def test_of_alternatives_one_that_allows_it_is_enough_and_of_a_sum_all_must() -> None:
    assert terms_of("CC-BY-ND-4.0 OR CC-BY-4.0") == Terms(True, attribution=True)
    assert terms_of("LicenseRef-Studio OR CC0-1.0") == Terms(True)
    assert not may_redistribute("CC-BY-4.0 AND CC-BY-ND-4.0")
    assert terms_of("CC-BY-4.0 AND LicenseRef-Studio") is None
    assert terms_of("MIT AND CC-BY-NC-4.0") == Terms(True, attribution=True, non_commercial=True)


def test_a_row_says_itself_whether_it_may_be_exported_and_an_old_table_asks_its_licence() -> None:
    assert may_export({"license": None, "redistributable": True})
    assert not may_export({"license": "CC0-1.0", "redistributable": False})
    assert may_export({"license": "CC0-1.0", "redistributable": None})
    assert not may_export({"license": None})


@given(st.sampled_from(sorted(TERMS)), st.sampled_from([str.lower, str.upper, str.title]))
def test_every_identifier_is_found_whatever_its_case(name: str, change) -> None:
    assert spdx_of(change(name)) == name
    assert spdx_of(change(name).replace("-", " ")) == name


@given(st.text(max_size=40))
def test_any_text_has_an_answer_and_one_that_is_not_in_the_table_is_no(text: str) -> None:
    known = [spdx_of(part) for part in text.replace(" AND ", " OR ").split(" OR ")]
    assert not may_redistribute(text) or any(known)
