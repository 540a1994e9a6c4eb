"""Evaluation on a small dataset whose unit is a volume control: -1 dB at the first setting, -4 dB at the last."""

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from buscomp.cli import main
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.levels import from_db
from buscomp.manifests.pcm import quantise, read_audio, write_flac
from buscomp.manifests.schema import column_names
from buscomp.manifests.tables import write_table
from buscomp.tests.trainer.compressed import keep_model
from buscomp.trainer import take_audio
from buscomp.trainer.baselines import BASELINES, CONSTANT_GAIN, STATIC_CURVE, UNCHANGED, fit_baselines
from buscomp.trainer.evaluate import CELLS, TEST_CELLS, cell_takes, evaluate
from buscomp.trainer.frechet import Embedding
from buscomp.trainer.registry import build
from buscomp.trainer.summary import summarised
from buscomp.trainer.systems import process
from buscomp.trainer.take_audio import batches, spread_evenly


def figure(rows, model, metric, cell):
    (row,) = [row for row in rows if row["model"] == model and (row["song_role"], row["setting_role"]) == cell]
    return row[metric]


def test_best_constant_gain_lies_between_the_gains_it_was_fitted_to(dataset):
    """Training has -1 and -2 dB on one song."""
    assert fit_baselines(dataset).constant_gain == pytest.approx((from_db(-1) + from_db(-2)) / 2, abs=1e-5)


def test_results_hold_the_model_and_three_baselines_in_the_four_cells(dataset):
    made = evaluate(dataset, keep_model(dataset, "mine"))
    assert [(row["model"], row["song_role"], row["setting_role"], row["takes"], row["songs"]) for row in made.rows] == [
        (model, song, setting, 2, 1) for song, setting in CELLS for model in ("s4-4-4", *BASELINES)
    ]
    assert [row["split"] for row in made.rows[::4]] == ["train", "unused", "test_seen", "test_unseen"]
    new = ("unseen", "unseen")
    gains = [from_db(-3), from_db(-4)]
    expected_esr = np.mean([(1 / gain - 1) ** 2 for gain in gains])
    assert figure(made.rows, UNCHANGED, "esr", new) == pytest.approx(expected_esr, rel=1e-3)
    for metric in ("gain_trace_rmse_db", "lufs_difference_db", "gain_offset_db"):
        assert figure(made.rows, UNCHANGED, metric, new) == pytest.approx(3.5, abs=1e-2)
    assert figure(made.rows, UNCHANGED, "polarity", new) == 1
    assert figure(made.rows, UNCHANGED, "lag_samples", new) == pytest.approx(0, abs=1e-3)
    # a gain for all is 0.5 dB wrong on either setting, a curve for each is right
    assert figure(made.rows, CONSTANT_GAIN, "gain_trace_rmse_db", ("unseen", "seen")) == pytest.approx(0.5, abs=0.02)
    assert figure(made.rows, STATIC_CURVE, "gain_trace_rmse_db", ("unseen", "seen")) == pytest.approx(0, abs=0.01)
    table = dataset.rows("results")
    assert list(table[0]) == list(column_names("results"))
    assert [row["mstft"] for row in table] == [row["mstft"] for row in made.rows]
    assert [row["take_id"] for row in dataset.rows("results_takes")] == [row["take_id"] for row in made.takes]
    assert list(dataset.rows("results_takes")[0]) == list(column_names("results_takes"))


def test_another_run_stands_beside_the_first_and_the_same_one_replaces_itself(dataset):
    evaluate(dataset, keep_model(dataset, "mine"))
    evaluate(dataset, keep_model(dataset, "other", "gcn-5-7", "film"), keep_model(dataset, "mine"))
    assert len(dataset.rows("results")) == 4 * (2 + 3)
    assert len(dataset.rows("results_takes")) == 2 * len(dataset.rows("results"))
    evaluate(dataset, keep_model(dataset, "mine"), cells=TEST_CELLS)
    rows = dataset.rows("results")
    assert [row["song_role"] for row in rows if row["checkpoint"] == "runs/mine"] == ["unseen"] * 2
    assert len([row for row in rows if row["model"] == UNCHANGED]) == 4, "baselines keep the cells of before"


def test_max_takes_limits_each_cell_and_leaves_the_whole_evaluation_as_it_was(dataset):
    run = keep_model(dataset, "mine")
    evaluate(dataset, run)
    whole = dataset.rows("results"), dataset.rows("results_takes")
    assert {row["takes"] for row in evaluate(dataset, run, max_takes=1).rows} == {1}
    assert (dataset.rows("results"), dataset.rows("results_takes")) == whole


def test_seen_songs_get_as_many_takes_as_the_larger_test_cell(make_dataset, tmp_path):
    dataset = make_dataset(tmp_path / "d", songs=6, settings=4, seconds=0.5)
    takes = cell_takes(dataset, CELLS)
    assert {cell: len(its) for cell, its in takes.items()} == dict.fromkeys(CELLS, 2)
    assert len({take["song_id"] for take in takes["seen", "seen"]}) == 2, "spread over songs"


def test_a_figure_is_the_mean_over_takes_and_its_spread_that_of_the_means_of_songs():
    keys = {"model": "m", "conditioning": None, "params": 1, "checkpoint": None, "subset": None, "split": "test_seen"}
    keys |= {"song_role": "unseen", "setting_role": "seen"}
    empty = dict.fromkeys([name for name in column_names("results_takes") if name not in keys], None)
    rows = [
        {**empty, **keys, "song_id": song, "setting_id": setting, "take_id": f"{song}-{setting}", "l1": l1}
        for song, setting, l1 in (("a", "x", 1.0), ("a", "y", 3.0), ("b", "x", 6.0))
    ]
    (cell,) = summarised(rows)
    assert (cell["takes"], cell["songs"], cell["l1"]) == (3, 2, pytest.approx(10 / 3))
    assert cell["l1_song_std"] == pytest.approx(np.std([2.0, 6.0], ddof=1))
    assert cell["mstft"] is None
    assert {row["setting_id"]: row["l1"] for row in summarised(rows, "setting")} == {"x": 3.5, "y": 3.0}
    assert len(summarised(rows, "take")) == 3


def test_an_inverted_and_late_unit_is_told_as_such(dataset):
    for take in dataset.pair_table("test_seen").to_dict("records"):
        dry, rate = read_audio(dataset.file(take["dry_path"]))
        write_flac(dataset.file(take["wet_path"]), quantise(-np.roll(dry, 3, axis=0)), rate)
    rows = evaluate(dataset, keep_model(dataset, "mine")).rows
    assert figure(rows, UNCHANGED, "polarity", ("unseen", "seen")) == -1
    assert figure(rows, UNCHANGED, "lag_samples", ("unseen", "seen")) == pytest.approx(-3, abs=0.02)


def test_a_recorded_control_voltage_is_what_the_gain_is_measured_against(dataset):
    """A voltage of gain / 40, as that of the simulated unit; wet itself is spoiled in one cell, the voltage is not."""
    random = np.random.default_rng(1)
    rows = dataset.rows("takes")
    for row in rows:
        dry, rate = read_audio(dataset.file(dataset.dry_path(row["song_id"])))
        gain_db = np.repeat(-6 * random.random(len(dry) // 4410 + 1), 4410)[: len(dry), None]
        row["cv_path"] = dataset.cv_path(row["setting_id"], row["song_id"])
        dataset.file(row["cv_path"]).parent.mkdir(parents=True, exist_ok=True)
        write_flac(dataset.file(row["cv_path"]), quantise(0.1 + gain_db / 40), rate)
        write_flac(dataset.file(row["wet_path"]), quantise(dry * 10 ** (gain_db / 20)), rate)
    write_table(dataset.table_path("takes"), "takes", rows)
    made = evaluate(Dataset(dataset.root), keep_model(dataset, "mine"), cells=TEST_CELLS).rows
    plain, voltage = (
        figure(made, UNCHANGED, metric, ("unseen", "seen"))
        for metric in ("gain_trace_rmse_db", "gain_trace_cv_rmse_db")
    )
    assert 2 < plain < 5
    assert voltage == pytest.approx(plain, abs=0.05)


def test_a_frechet_distance_is_zero_for_the_target_itself_and_bears_its_embeddings_name(dataset):
    def loudness_of_tenths(audio, sample_rate):
        return np.sqrt(np.mean(audio[: len(audio) // 4410 * 4410].reshape(-1, 4410, 2) ** 2, axis=1))

    made = evaluate(dataset, keep_model(dataset, "mine"), embedding=Embedding("rms", loudness_of_tenths)).rows
    seen = ("unseen", "seen")
    assert figure(made, STATIC_CURVE, "frechet_distance", seen) == pytest.approx(0, abs=1e-6)
    assert figure(made, UNCHANGED, "frechet_distance", seen) > 1e-5
    assert {(row["frechet_embedding"], row["frechet_items"]) for row in made} == {("rms", 20)}


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


def test_a_model_that_looks_ahead_by_a_block_is_given_whole_blocks_of_any_take():
    torch.manual_seed(1)
    model = build("s4-4-4", "tvfilm", 5, alignment="same").eval()
    dry = np.random.default_rng(1).standard_normal((5000, 1)).astype(np.float32) * 0.1
    (found,) = process(model, [dry], np.zeros((1, 5), np.float32))
    whole = np.pad(dry, ((0, 120), (0, 0)))  # 40 blocks
    with torch.no_grad():
        alone, _ = model(torch.from_numpy(whole.T[None].copy()), torch.zeros(1, 5))
    np.testing.assert_allclose(found[:, 0], alone[0, 0, :5000].numpy(), atol=1e-6)


def test_long_takes_go_alone_and_short_ones_eight_at_a_time(monkeypatch):
    rows = [{"frames": frames} for frames in (1000,) * 17]
    assert [len(batch) for batch in batches(rows, copies=6)] == [8, 8, 1]
    monkeypatch.setattr(take_audio, "MEMORY_BYTES", 6 * 2 * 4 * 2500)
    mixed = [{"frames": frames} for frames in (1000, 1000, 2400, 1000, 9000, 1000)]
    assert [[row["frames"] for row in batch] for batch in batches(mixed, copies=6)] == [
        [1000, 1000], [2400], [1000], [9000], [1000],
    ]  # fmt: skip
    assert [row["frames"] for row in spread_evenly(mixed, 2)] == [1000, 1000]


def test_nothing_to_evaluate_and_no_test_takes_are_told(dataset):
    with pytest.raises(UsageError, match="neither a run nor a plugin"):
        evaluate(dataset)
    run = keep_model(dataset, "mine")
    rows = [row | {"split": "unused", "song_role": "validation"} for row in dataset.rows("splits")]
    write_table(dataset.table_path("splits"), "splits", rows)
    with pytest.raises(DatasetError, match="no accepted take is in a test split"):
        evaluate(Dataset(dataset.root), run)


def test_evaluate_prints_the_papers_layouts_and_writes_them_as_csv_and_markdown(dataset, tmp_path):
    keep_model(dataset, "mine")
    here = ("--dataset", str(dataset.root))
    files = ("--csv", str(tmp_path / "a.csv"), "--markdown", str(tmp_path / "a.md"))
    shown = CliRunner().invoke(main, ["evaluate", "--run", "mine", *here, *files], catch_exceptions=False).stdout
    assert "0.0283" in shown, "the paper's L1 of S4 4/4 with TVFiLM"
    for expected in ("L1 seen", "paper M-STFT unseen", "other recordings", "Error of the gain over time", *BASELINES):
        assert expected in shown
    csv, markdown = (tmp_path / "a.csv").read_text(), (tmp_path / "a.md").read_text()
    assert csv.splitlines()[0].startswith(
        "model,conditioning,parameters,L1 seen,L1 unseen,M-STFT seen,M-STFT unseen,paper"
    )
    assert len(csv.splitlines()) == 1 + 4
    assert markdown.count("\n| ") == 1 + 4, "a bar and four systems below the headings"
    other = CliRunner().invoke(main, ["evaluate", "--layout", "all", "--by", "setting", "--json", *here])
    assert other.exit_code == 0, other.output
    assert len(json.loads(other.stdout)["results"]) == 4 * 4
    wrong = CliRunner().invoke(main, ["evaluate", "--by", "take", *here])
    assert (wrong.exit_code, wrong.output.count("\n")) == (2, 1)


def test_evaluating_before_training_says_what_to_type(dataset):
    result = CliRunner().invoke(main, ["evaluate", "--dataset", str(dataset.root)])
    assert result.exit_code == 1
    assert "type `buscomp train` first" in result.output
