"""`manifests.ids`: names that are safe everywhere, paths that stay inside."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.ids import ID_PATTERN, check_id, id_from_name, number_in_id, resolve_under


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Blue Sky (Mix 2)", "blue-sky-mix-2"),
        ("Für Élise", "fur-elise"),
        ("a.b.c", "a-b-c"),
        ("--x--", "x"),
        ("A" * 200, "a" * 120),
        ("..", None),
        ("日本", None),
        ("", None),
    ],
)
def test_a_name_folds_to_its_id(name: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(UsageError, match="no id can be made"):
            id_from_name(name)
    else:
        assert id_from_name(name) == expected


@given(st.text())
def test_any_name_gives_a_safe_id_or_a_usage_error_and_folding_twice_changes_nothing(name: str) -> None:
    try:
        folded = id_from_name(name)
    except UsageError:
        return
    assert ID_PATTERN.fullmatch(folded)
    assert "." not in folded
    assert id_from_name(folded) == folded


@pytest.mark.parametrize("text", ["", "A", "a.b", "a/b", "a b", "é", "a\n", "x" * 121])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not an id"):
        check_id(text)


@pytest.mark.parametrize(("value", "text"), [(0.4, "0p4"), (-28.0, "-28"), (10, "10"), (1.5, "1p5"), (1e-7, "1e-07")])
def test_a_number_in_an_id_has_no_dot(value: float, text: str) -> None:
    assert check_id(number_in_id(value)) == text


@pytest.mark.parametrize(
    "relative", ["", "/etc/passwd", "../x", "dry/../../x", "C:/x", "c:x", "dry\\x", "dry/a\0b", "//server/x", ".."]
)
def test_paths_that_leave_the_dataset_are_refused(tmp_path: Path, relative: str) -> None:
    with pytest.raises(DatasetError, match="must stay inside"):
        resolve_under(tmp_path, relative)


def test_a_link_that_leaves_the_dataset_is_refused_and_one_that_stays_is_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    for folder in (root / "dry", outside):
        folder.mkdir(parents=True)
    (root / "out").symlink_to(outside)
    (root / "in").symlink_to(root / "dry")
    with pytest.raises(DatasetError, match="through a link"):
        resolve_under(root, "out/song.flac")
    assert resolve_under(root, "in/song.flac") == (root / "dry" / "song.flac").resolve()


@given(st.text(alphabet=st.sampled_from("ab./\\:\0 ~-é"), max_size=20))
def test_no_path_ever_leads_outside(relative: str) -> None:
    root = Path("/tmp/nowhere/root")
    with contextlib.suppress(DatasetError):
        assert resolve_under(root, relative).is_relative_to(root.resolve())
