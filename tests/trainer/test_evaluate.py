"""Evaluation on a small dataset whose unit is a volume control: -1 dB at the first setting, -4 dB at the last."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from buscomp.cli import main
from buscomp.manifests.levels import from_db
from buscomp.manifests.schema import column_names
from buscomp.trainer.baselines import best_constant_gain
from buscomp.trainer.evaluate import evaluate, process
from buscomp.trainer.registry import build
from buscomp.trainer.train import train

SMALL: dict[str, Any] = {"batch": 2, "chunk_frames": 2048, "clip_chunks": 4}


def test_best_constant_gain_lies_between_the_gains_it_was_fitted_to(dataset):
    """Training has -1 and -2 dB on one song."""
    assert best_constant_gain(dataset) == pytest.approx((from_db(-1) + from_db(-2)) / 2, abs=1e-5)


def test_results_hold_the_model_and_both_baselines_on_both_splits(dataset):
    run = train(dataset, steps=2, **SMALL)
    rows = evaluate(dataset, run)
    assert [(row["model"], row["split"], row["takes"]) for row in rows] == [
        (model, split, 2)
        for split in ("test_seen", "test_unseen")
        for model in ("s4-4-4", "output = input", "best constant gain")
    ]
    unchanged = next(row for row in rows if row["model"] == "output = input" and row["split"] == "test_unseen")
    gains = [from_db(-3), from_db(-4)]
    assert unchanged["esr"] == pytest.approx(np.mean([(1 / gain - 1) ** 2 for gain in gains]), rel=1e-3)
    assert unchanged["gain_trace_rmse_db"] == pytest.approx(3.5, abs=1e-2)
    assert unchanged["lufs_difference_db"] == pytest.approx(3.5, abs=1e-2)
    assert unchanged["frechet_distance" if "frechet_distance" in unchanged else "params"] in (0, None)
    table = dataset.rows("results")
    assert list(table[0]) == list(column_names("results"))
    assert [row["mstft"] for row in table] == [row["mstft"] for row in rows]
    again = evaluate(dataset, train(dataset, model="gcn-5-7", conditioning="film", steps=1, **SMALL))
    assert len(dataset.rows("results")) == len(rows) + len(again) // 3


def test_max_takes_limits_each_split_and_leaves_the_whole_evaluation_as_it_was(dataset):
    run = train(dataset, steps=1, **SMALL)
    evaluate(dataset, run)
    whole = dataset.rows("results")
    assert {row["takes"] for row in evaluate(dataset, run, max_takes=1)} == {1}
    assert dataset.rows("results") == whole
    assert max(row["takes"] for row in whole) > 1


def test_whole_files_in_one_batch_equal_each_file_alone():
    torch.manual_seed(1)
    model = build("gcn-10-3", "tvfilm", 5).eval()
    random = np.random.default_rng(1)
    dry = [random.standard_normal((frames, 2)).astype(np.float32) * 0.1 for frames in (9000, 5000)]
    controls = random.random((2, 5), np.float32)
    together = process(model, dry, controls)
    for audio, row, found in zip(dry, controls, together, strict=True):
        for channel in (0, 1):
            with torch.no_grad():
                x = torch.from_numpy(audio[None, None, :, channel].copy())
                alone, _ = model(x, torch.from_numpy(row[None]))
            np.testing.assert_allclose(found[:, channel], alone[0, 0].numpy(), atol=1e-6)


def test_the_three_verbs_work_from_the_command_line(dataset):
    def typed(*words):
        result = CliRunner().invoke(main, [*words, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    rows = typed("models")["models"]
    assert {row["model"]: row["params"] for row in rows if row["conditioning"] == "tvfilm"} == {
        "s4-4-4": 11_569, "s4-8-32": 32_433, "gcn-5-7": 31_713, "gcn-10-3": 43_233,
    }  # fmt: skip
    here = ("--dataset", str(dataset.root))
    small = ("--batch", "2", "--chunk-frames", "2048", "--clip-chunks", "3")
    assert typed("train", "--steps", "2", "--name", "mine", *small, *here)["step"] == 2
    assert len(typed("evaluate", *here, "--max-takes", "1")["results"]) == 6
    shown = CliRunner().invoke(main, ["evaluate", *here, "--run", "mine"]).stdout.splitlines()
    assert [line.split("  ")[0] for line in shown[2:]] == ["s4-4-4 tvfilm", "output = input", "best constant gain"]


def test_evaluating_before_training_says_what_to_type(dataset):
    result = CliRunner().invoke(main, ["evaluate", "--dataset", str(dataset.root)])
    assert result.exit_code == 1
    assert "type `buscomp train` first" in result.output
