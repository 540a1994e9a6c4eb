"""The ablation on subsets of a second and less."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from buscomp.cli import main
from buscomp.curation.subset import subset
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.trainer import ablation
from buscomp.trainer.ablation import ablate, subset_sizes
from buscomp.trainer.evaluate import evaluate

QUICK: dict[str, Any] = {"model": "s4-4-4", "conditioning": "film", "batch": 1, "chunk_frames": 2048, "clip_chunks": 3}


@pytest.fixture
def two_subsets(make_dataset, tmp_path):
    dataset = make_dataset(tmp_path / "d", songs=4, settings=4, seconds=1.0)
    subset(dataset, hours=0.0003, songs=1, name="few", window_s=0.5)
    subset(dataset, hours=0.0010, songs=2, name="many", window_s=0.5)
    subset(dataset, hours=0.0005, songs=2, name="middle", window_s=0.5)
    return Dataset(dataset.root)


def test_subsets_stand_in_the_papers_order_most_songs_first_then_by_hours(two_subsets):
    sizes = subset_sizes(two_subsets)
    assert list(sizes.items()) == [("middle", (2, 0.0005)), ("many", (2, 0.001)), ("few", (1, 0.0003))]
    assert list(subset_sizes(two_subsets, ["few"])) == ["few"]
    with pytest.raises(UsageError, match="no such subset, got none"):
        subset_sizes(two_subsets, ["none"])


def test_a_dataset_without_subsets_says_what_to_type(dataset):
    with pytest.raises(DatasetError, match="type `buscomp subset --paper`"):
        subset_sizes(dataset)


def test_an_ablation_that_is_typed_again_does_only_what_is_missing(two_subsets, monkeypatch):
    lines, evaluated = [], []

    def told(dataset, *runs, **options):
        evaluated.append([run.folder.name for run in runs])
        return evaluate(dataset, *runs, **options)

    monkeypatch.setattr(ablation, "evaluate", told)

    def again(*subsets):
        return ablate(
            two_subsets, subsets, steps=2, log_every=1, report=lambda subset, line: lines.append(subset), **QUICK
        )

    first = again("few")
    assert [(row["subset"], row["setting_role"]) for row in first] == [("few", "seen"), ("few", "unseen")]
    both = again("few", "many")
    assert lines == ["few"] * 2 + ["many"] * 2, "no step is made twice"
    assert evaluated == [["s4-4-4-film-few"], ["s4-4-4-film-many"]]
    assert {row["subset"] for row in both} == {"few", "many"}
    assert [row for row in both if row["subset"] == "few"] == first
    again("few", "many")
    assert len(evaluated) == 2, "all is there"
    stored = [row["subset"] for row in two_subsets.rows("results") if row["model"] == "s4-4-4"]
    assert sorted(stored) == ["few", "few", "many", "many"]


def test_ablate_prints_table_5_and_writes_it_with_the_papers_figures(two_subsets, tmp_path):
    words = ("--model", "s4-4-4", "--conditioning", "film", "--steps", "1", "--batch", "1", "--clip-chunks", "2")
    files = ("--markdown", str(tmp_path / "table.md"), "--dataset", str(two_subsets.root))
    told = CliRunner().invoke(main, ["ablate", "--subset", "few", *words, *files, "--json"], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    assert {row["subset"] for row in json.loads(told.stdout)["results"]} == {"few"}
    heading, _, line = (tmp_path / "table.md").read_text().splitlines()[:3]
    assert heading.startswith("| songs | hours | L1 seen |")
    assert heading.endswith("paper M-STFT unseen |")
    assert line.startswith("| 1 | 0.0003 | ")
