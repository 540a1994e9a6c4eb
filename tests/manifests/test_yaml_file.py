"""`manifests.yaml_file`: every mistake is one line that names file and line."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from buscomp.manifests.errors import UsageError
from buscomp.manifests.yaml_file import MAX_BYTES, Strict, load_yaml


class Knob(Strict):
    label: str
    turns: int = 1


class Panel(Strict):
    name: str
    knobs: dict[str, Knob] = Field(default={})
    gains_db: tuple[float, ...] = ()


def load(tmp_path: Path, text: str | bytes) -> Panel:
    path = tmp_path / "panel.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_yaml(path, Panel)


def test_a_right_file_is_read(tmp_path: Path) -> None:
    panel = load(tmp_path, "name: A\nknobs:\n  ratio: {label: RATIO, turns: 3}\ngains_db: [-3, 0.5]\n")
    assert panel == Panel(name="A", knobs={"ratio": Knob(label="RATIO", turns=3)}, gains_db=(-3, 0.5))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: A\nknobs:\n  b:\n    label: B\n    turns: many\n", r"panel\.yaml:5: knobs\.b\.turns: .*, got 'many'"),
        ("name: A\n\ngains_db:\n- 1\n- 2\n- loud\n", r"panel\.yaml:6: gains_db\.2: .*, got 'loud'"),
        ("name: A\nknobs:\n  a:\n    turns: 1\n", r"panel\.yaml:4: knobs\.a\.label: Field required"),
        ("knobs: {}\n", r"panel\.yaml:1: name: Field required"),
        ("name: A\n# comment\ncolour: red\n", r"panel\.yaml:3: colour: Extra inputs are not permitted, got 'red'"),
        ("", r"panel\.yaml:1: name: Field required"),
        ("- a\n- b\n", r"panel\.yaml:1: "),
        ("just words\n", r"panel\.yaml:1: "),
        ("name: A\nknobs: [1, 2\nx: 3\n", r"panel\.yaml:3: not valid YAML"),
        ("name: A\n\tknobs: 3\n", r"panel\.yaml:2: not valid YAML"),
        ("name: &a A\ncopy: *a\n", r"panel\.yaml:2: not valid YAML: aliases are not allowed"),
        ("name: !!python/object/apply:os.system ['true']\n", r"panel\.yaml:1: not valid YAML: could not determine"),
        ("name: A\nname: B\n", r"panel\.yaml:2: not valid YAML: name stands here twice"),
        ("name: A\n[x]: B\n", r"panel\.yaml:2: not valid YAML: found unhashable key"),
        ("name: 2026-13-45\n", r"panel\.yaml:1: not valid YAML: "),
        ("name: " + "9" * 5000 + "\n", r"panel\.yaml:1: not valid YAML: "),
        ("name: " + "[" * 5000 + "\n", r"panel\.yaml: not valid YAML: "),
        ("name: \0\n", r"panel\.yaml: not valid YAML: "),
        (b"name: \xff\xfe\n", r"panel\.yaml is not a text file"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_line_with_its_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        load(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_a_billion_laughs_is_refused_at_its_first_alias(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    with pytest.raises(UsageError, match=r"panel\.yaml:2: not valid YAML: aliases"):
        load(tmp_path, "\n".join(lines))


def test_more_than_a_megabyte_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"too large to be hand-written, got 1048577 bytes"):
        load(tmp_path, b"#" * (MAX_BYTES + 1))


def test_a_missing_file_and_a_folder_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        load_yaml(tmp_path / "gone.yaml", Panel)
    with pytest.raises(UsageError, match="is not a text file"):
        load_yaml(tmp_path, Panel)


@given(st.text(alphabet=st.sampled_from("name: A\n-[]{}&*!|>'\"#%@,?\t1.e+~"), max_size=60))
def test_whatever_stands_in_the_file_the_answer_is_a_panel_or_a_usage_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(load(tmp_path_factory.mktemp("yaml"), text), Panel)
