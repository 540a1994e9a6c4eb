"""Recipes: what the papers did, and what cannot be meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buscomp.manifests.errors import UsageError
from buscomp.trainer.progress import Progress
from buscomp.trainer.recipe import RECIPES, Recipe, choose


def test_paper_a_takes_chunks_of_a_tenth_of_a_second_and_halves_after_10000_steps():
    recipe = choose("paper-a")
    assert (recipe.batch, recipe.chunk_frames, recipe.learning_rate, recipe.steps) == (16, 4410, 0.005, 500_000)
    assert (recipe.schedule, recipe.plateau_factor, recipe.plateau_patience_steps) == ("plateau", 0.5, 10_000)
    assert not recipe.auto_flag


def test_paper_b_takes_segments_of_65536_samples_with_no_state_and_60_epochs():
    recipe = choose("paper-b")
    steps_an_epoch = 87_540 * 44_100 / (recipe.batch * recipe.chunk_frames)
    assert recipe.validate_every == round(steps_an_epoch)
    assert recipe.plateau_patience_steps == 10 * recipe.validate_every
    assert recipe.steps == 60 * recipe.validate_every
    assert (recipe.clip_chunks, recipe.warm_up_chunks, recipe.decayed) == (1, 0, "not-s4d")


def test_a_choice_takes_the_place_of_the_recipes_own():
    assert choose("paper-a", batch=4).batch == 4
    assert choose("paper-a", batch=4).chunk_frames == 4410
    assert choose() == Recipe() == RECIPES["ours"]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"chunk_frames": 100}, r"chunk_frames cannot be so, got 100 \(allowed: 2048 or more"),
        ({"clip_chunks": 1}, r"a clip needs a chunk to learn from .*, got 1 \(allowed: 2 or more\)"),
        ({"learning_rate": 0}, r"learning_rate cannot be so, got 0 \(allowed: above 0\)"),
        ({"precision": "int8"}, r"precision cannot be so, got int8 \(allowed: float32, tf32, bf16\)"),
        ({"frozen_norms": 2}, r"frozen_norms cannot be so, got 2 \(allowed: 0 to 1\)"),
        ({"momentum": 1}, "a recipe has no such choice, got momentum"),
    ],
)
def test_what_cannot_be_meant_is_refused(choices, message):
    with pytest.raises(UsageError, match=message):
        choose(**choices)
    with pytest.raises(UsageError, match=r"no such recipe, got paper-c \(allowed: ours, paper-a, paper-b\)"):
        choose("paper-c")


def test_a_plateau_of_2000_steps_halves_the_rate_every_2000_steps_without_a_better_loss():
    recipe = choose(plateau_patience_steps=2000, learning_rate=1e-3, lowest_learning_rate=3e-4)
    at = Progress({})
    factors = []
    for at.step in range(1000, 10_001, 1000):
        assert at.note_validation(1.0, recipe) == (at.step == 1000)
        factors.append(at.plateau)
    assert factors == [1, 1, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]
    assert at.note_validation(0.9, recipe)
    assert at.best_step == 10_000


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40))
def test_the_best_loss_is_the_lowest_and_the_factor_never_rises(losses):
    at, recipe = Progress({}), choose(plateau_patience_steps=3)
    factors = []
    for loss in losses:
        at.step += 1
        at.note_validation(loss, recipe)
        factors.append(at.plateau)
    assert at.best_validation_loss == min(losses)
    assert at.best_step == losses.index(min(losses)) + 1
    assert factors == sorted(factors, reverse=True)
