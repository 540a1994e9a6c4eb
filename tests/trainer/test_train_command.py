"""The words of `buscomp train`."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from buscomp.trainer.recipe import RECIPES, Recipe
from buscomp.trainer.train_commands import CHOICES, train

PAGE = (Path(__file__).parents[2] / "docs" / "verbs" / "train.md").read_text()
SMALL = ("--batch", "2", "--chunk-frames", "2048", "--clip-chunks", "3", "--steps", "1", "--validate-every", "1")


def test_every_option_is_on_the_page_and_the_page_has_no_other():
    words = {
        word for option in train.params for word in (*option.opts, *option.secondary_opts) if word.startswith("--")
    }
    shown = set(re.findall(r"`(--[a-z0-9-]+)[^`]*`", PAGE)) - {"--validation-songs", "--nnodes", "--rdzv-endpoint"}
    assert shown == words - {"--dataset", "--json", "--help"}


@pytest.mark.parametrize("option", [name for name, _, _ in CHOICES])
def test_help_and_page_tell_every_recipes_choice(option):
    field = option.replace("-", "_")
    assert field in Recipe.__dataclass_fields__
    help_text = next(parameter for parameter in train.params if parameter.name == field).help
    row = next(line for line in PAGE.splitlines() if line.startswith("|") and f"`--{option}`" in line)
    for cell, (name, recipe) in zip(row.split("|")[2:], RECIPES.items(), strict=False):
        value = getattr(recipe, field)
        if isinstance(value, (int, float)) and "factor" not in row:
            assert re.search(rf"\b{re.escape(f'{value:g}')}\b", cell.replace(" ", " ")), (name, cell)
            if value != getattr(RECIPES["ours"], field):
                assert f"{name} {value:g}" in str(help_text)


def test_the_command_trains_tells_one_document_and_says_how_much_it_decodes(dataset):
    result = CliRunner().invoke(train, ["--dataset", str(dataset.root), *SMALL, "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["run"], document["step"], document["recipe"]) == ("s4-4-4-tvfilm", 1, "ours")
    assert re.search(r"decoding 6 files into .*\.cache/audio, 0\.00 GB", result.stderr)
    assert re.search(r"step +1   loss \d+\.\d+   validation \d+\.\d+", result.stderr)


def test_a_recipe_brings_its_steps_and_a_choice_takes_their_place(dataset):
    words = ["--dataset", str(dataset.root), "--recipe", "paper-b", "--model", "ssm-c16-f4", "--conditioning", "film"]
    words += [*SMALL, "--clip-chunks", "1", "--no-cache", "--json"]
    result = CliRunner().invoke(train, words)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert (document["learning_rate"], document["clip_chunks"], document["batch"]) == (0.001, 1, 2)
    assert document["controls"] == ["threshold_db", "attack_ms", "release_s", "ratio"]
    assert not (dataset.root / ".cache").exists()
