"""The audit: takes with a wrong knob come out on top, whatever song or setting is hard."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from buscomp.cli import main
from buscomp.manifests.pcm import read_audio
from buscomp.tests.trainer.compressed import compressed, compressor_dataset, keep_model, replace_wet, without_journal
from buscomp.trainer.audit import Departure, precision_at, scores
from buscomp.trainer.train import train

WRONG = (  # song, the setting it is filed under, the setting it was made at
    ("song-0", "thr-28_att30_rel0p1_rat10", "thr-28_att30_rel0p1_rat2"),
    ("song-2", "thr-12_att0p1_rel0p1_rat4", "thr-28_att0p1_rel0p1_rat4"),
    ("song-4", "thr-28_att0p1_rel0p1_rat2", "thr-28_att0p1_rel0p1_rat10"),
)


@given(st.integers(0, 2**16))
def test_a_take_that_departs_by_1_db_from_what_song_and_setting_account_for_has_the_highest_score(seed):
    """Songs and settings at which the model is wrong by up to 5 dB, or 20 times less steady, do not."""
    random = np.random.default_rng(seed)
    songs, settings = 6, 10
    biases = random.uniform(-5, 5, songs)[:, None] + random.uniform(-5, 5, settings)
    hard = np.exp(random.uniform(0, 3, songs))[:, None] * np.exp(random.uniform(0, 3, settings))
    means = biases + 0.1 * random.standard_normal(biases.shape)
    deviations = 0.1 * hard * np.exp(0.1 * random.standard_normal(hard.shape))
    song, setting = int(random.integers(songs)), int(random.integers(settings))
    means[song, setting] -= 1.0
    found = scores(
        [Departure(*map(float, each)) for each in zip(means.ravel(), deviations.ravel(), strict=True)],
        list(range(settings)) * songs,
        [i for i in range(songs) for _ in range(settings)],
    )
    place = song * settings + setting
    assert int(np.argmax([each.score for each in found])) == place
    assert found[place].mean_db == pytest.approx(-1.0, abs=0.5)


def test_a_take_whose_gain_varies_3_times_as_widely_has_the_highest_score_and_one_that_is_steadier_has_none():
    """A wrong attack need not move the mean."""
    departures = [Departure(0.0, 1.0 + 0.01 * (i % 7)) for i in range(30)]
    departures[7], departures[11] = Departure(0.0, 3.0), Departure(0.0, 0.3)
    found = scores(departures, [i % 6 for i in range(30)], [i // 6 for i in range(30)])
    ranked = sorted(range(30), key=lambda place: -found[place].score)
    assert ranked[0] == 7
    assert found[7].deviation_db == pytest.approx(2.0, abs=0.2)
    assert found[11].score < 1


def test_precision_at_k_is_the_share_of_wrong_takes_among_the_first_k():
    assert [precision_at(["a", "b", "c", "d"], {"a", "c"}, k) for k in (1, 2, 4)] == [1.0, 0.5, 0.5]


def test_the_verb_says_what_is_no_run_before_it_decodes_a_file_and_ranks_every_take_of_one_that_is(
    dataset, monkeypatch
):
    keep_model(dataset, "mine")
    with monkeypatch.context() as patch:
        patch.setattr("buscomp.manifests.integrity.verify", None)
        told = CliRunner().invoke(main, ["verify", "--with-model", "other", "--dataset", str(dataset.root)])
    assert (told.exit_code, "no run is called other" in told.output) == (2, True)
    words = ["verify", "--with-model", str(dataset.root / "runs" / "mine"), "--dataset", str(dataset.root)]
    told = CliRunner().invoke(main, [*words, "--json"], catch_exceptions=False)
    ranked = json.loads(told.stdout)["ranked"]
    assert len(ranked) == len(dataset.takes)
    assert [one["score"] for one in ranked] == sorted((one["score"] for one in ranked), reverse=True)


@pytest.mark.slow
def test_three_of_60_takes_with_a_wrong_knob_come_out_on_top_of_a_quickly_trained_model(tmp_path):
    dataset = compressor_dataset(tmp_path / "d", seconds=3.0)
    run = train(dataset, steps=60, batch=4, clip_chunks=8, schedule="one-cycle")
    rows = dataset.rows("takes")
    wrong = {}
    for song_id, setting_id, made_at in WRONG:
        row = next(row for row in rows if (row["song_id"], row["setting_id"]) == (song_id, setting_id))
        dry, rate = read_audio(dataset.file(dataset.dry_path(song_id)))
        replace_wet(dataset, row, compressed(dataset, made_at, dry), rate)
        wrong[row["take_id"]] = made_at
    without_journal(dataset, rows)
    words = ["verify", "--with-model", run.folder.name, "--dataset", str(dataset.root)]
    told = CliRunner().invoke(main, [*words, "--json"], catch_exceptions=False)
    document = json.loads(told.stdout)
    ranked = document["ranked"]
    assert {one["take_id"] for one in ranked[:3]} == set(wrong), [one["score"] for one in ranked[:6]]
    assert told.exit_code == 1
    suspects = {finding["path"] for finding in document["findings"] if finding["kind"] == "suspect"}
    assert suspects >= {one["wet_path"] for one in ranked[:3]}
    assert {finding["kind"] for finding in document["findings"]} == {"suspect"}
