"""The house stands as its plan says: rooms, layers, an instant command line, a page for every verb."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from buscomp.cli import VERBS, main

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SLOW = ("torch", "sounddevice", "librosa", "pandas", "numba", "pyarrow", "scipy", "matplotlib", "jinja2", "soundfile")


def test_the_packages_that_are_installed_are_the_folders_that_hold_code() -> None:
    folders = {f"buscomp.{path.parent.name}" for path in ROOT.glob("*/__init__.py")}
    assert set(PYPROJECT["tool"]["setuptools"]["packages"]) == {"buscomp"} | folders


def test_every_data_file_of_a_room_is_installed() -> None:
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    for room in PYPROJECT["tool"]["setuptools"]["packages"]:
        folder = ROOT.joinpath(*room.split(".")[1:])
        if folder == ROOT:
            continue
        files = {path for path in folder.iterdir() if path.is_file() and path.suffix not in (".py", ".pyc")}
        installed = {path for pattern in patterns.get(room, []) for path in folder.glob(pattern)}
        assert files == installed, room


def test_rooms_meet_at_manifests_and_never_at_each_other(tmp_path: Path) -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    told = subprocess.run(
        [lint, "--config", ROOT / "pyproject.toml", "--no-cache"], cwd=tmp_path, capture_output=True, text=True
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "1 kept, 0 broken" in told.stdout


def loaded_by(*words: str) -> set[str]:
    """Top-level modules that `buscomp WORDS` has loaded at its end."""
    script = (
        "import sys\n"
        "from buscomp.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print('LOADED', *{name.partition('.')[0] for name in sys.modules})"
    )
    told = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return set(told.stdout.rpartition("LOADED")[2].split())


def test_help_is_instant_because_it_loads_nothing_slow() -> None:
    assert loaded_by("--help").isdisjoint({*SLOW, "numpy", "pydantic"})


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(verb: str) -> None:
    told = CliRunner().invoke(main, [verb, "--help"])
    assert told.exit_code == 0, told.output
    assert f"Example: buscomp {verb}" in told.output
    command = main.get_command(click.Context(main), verb)
    assert command is not None
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help, f"{option.name} of {verb} has no help text"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_page_that_names_each_of_its_own_options(verb: str) -> None:
    page = ROOT / "docs" / "verbs" / f"{verb}.md"
    assert page.exists(), f"write {page.relative_to(ROOT)}"
    text = page.read_text()
    assert text.startswith(f"# buscomp {verb}\n")
    told = CliRunner().invoke(main, [verb, "--help"]).output
    options = set(re.findall(r"(?<![\w`-])--[a-z-]+", told)) - {"--help", "--dataset", "--json"}
    assert {option for option in options if option not in text} == set()


def test_no_page_or_verb_list_names_a_verb_that_is_not_there() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "verbs").glob("*.md")}
    assert pages == set(VERBS)
    for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for verb in re.findall(r"`buscomp ([a-z]+)", path.read_text()):
            assert verb in VERBS, f"{path.relative_to(ROOT)} speaks of `buscomp {verb}`"


def test_every_link_between_pages_leads_to_a_file() -> None:
    for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} links to {target}"


def test_no_file_is_longer_than_400_lines() -> None:
    for room in ("manifests", "capture", "curation", "annotation", "trainer", "."):
        for path in (ROOT / room).glob("*.py"):
            assert len(path.read_text().splitlines()) <= 400, path.relative_to(ROOT)
