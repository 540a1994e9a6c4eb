"""Pages that repeat what the code says do so, and all of them together are a site without a dead link."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from buscomp.capture.design import Design
from buscomp.capture.device import DeviceProfile, UnitPlace
from buscomp.capture.grid import Anchor, Exclude, Grid, Random
from buscomp.capture.panel import PanelChoice
from buscomp.manifests.midi_mapping import ControlMidi, UnitMidi
from buscomp.manifests.unit import Control, Unit

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SCRIPT = ROOT / "tests" / "make_pages.py"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as the script writes them, in a process of its own: in this one, tests have used the commands."""
    folder = tmp_path_factory.mktemp("pages")
    subprocess.run([sys.executable, SCRIPT, folder], check=True)
    return folder


@pytest.mark.parametrize("page", runpy.run_path(str(SCRIPT))["PAGES"])
def test_the_page_is_what_the_code_says(page: str, written: Path):
    assert (DOCS / page).read_text() == (written / page).read_text(), "run `python tests/make_pages.py`"


@pytest.mark.parametrize(
    ("page", "model"), [("device", DeviceProfile), ("device", UnitPlace), ("unit", Unit), ("unit", Control)]
)
def test_the_table_of_a_profile_has_a_row_for_every_word_with_its_default(page: str, model: type[BaseModel]):
    text = (DOCS / "reference" / f"{page}.md").read_text()
    table = text.partition(f"<!-- {model.__name__} -->")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| ?(.*?) ?\|$", table, re.M))
    assert list(rows) == list(model.model_fields)
    for word, field in model.model_fields.items():
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if default is None or isinstance(default, str | int | float):
            told = rows[word].partition(":")[0]
            empty = "" if field.is_required() or default == "" else "null"
            assert told == (
                empty if default in (None, "") else f"{default:g}" if isinstance(default, float) else str(default)
            ), word


@pytest.mark.parametrize(
    ("page", "models"),
    [
        ("grid", (Grid, Exclude, Random)),
        ("panels", (PanelChoice, ControlMidi, UnitMidi)),
        ("planning", (Design, Anchor)),
    ],
)
def test_the_page_tells_every_word_of_its_file(page: str, models: tuple[type[BaseModel], ...]):
    text = (DOCS / "reference" / f"{page}.md").read_text()
    for model in models:
        for word in model.model_fields:
            assert re.search(rf"\b{word}\b[`:,]", text), f"{page}.md does not tell {word} of {model.__name__}"


def test_the_pages_are_a_site_without_a_dead_link_and_load_nothing_from_elsewhere(tmp_path: Path):
    told = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--config-file",
            ROOT / "mkdocs.yml",
            "--site-dir",
            tmp_path,
        ],
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    page = (tmp_path / "tutorials" / "real-unit.html").read_text()
    assert "Wiring" in page
    assert (tmp_path / "images" / "wiring.svg").exists()
    for path in [*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css")]:
        foreign = re.findall(r"""(?:src=|url\(|<link[^>]* href=)["']?(?:https?:)?//[^"')>]+""", path.read_text())
        assert not foreign, f"{path.relative_to(tmp_path)} loads {foreign}"


def test_a_dead_link_or_anchor_breaks_the_site(tmp_path: Path):
    (tmp_path / "docs").mkdir()
    settings = (ROOT / "mkdocs.yml").read_text().partition("not_in_nav")[0]
    (tmp_path / "mkdocs.yml").write_text(settings)
    for link, message in (("gone.md", "'gone.md'"), ("#nowhere", "'#nowhere'")):
        (tmp_path / "docs" / "index.md").write_text(f"# Home\n\n[here]({link})\n")
        told = subprocess.run([sys.executable, "-m", "mkdocs", "build"], cwd=tmp_path, capture_output=True, text=True)
        assert told.returncode == 1
        assert message in told.stderr


def test_every_block_of_code_begins_at_the_margin_where_it_is_shown_and_run():
    for path in [ROOT / "README.md", *DOCS.glob("**/*.md")]:
        assert not re.findall(r"^[ \t]+```", path.read_text(), re.M), path.relative_to(ROOT)
