"""A listening test: what is played, what the page does in a browser, and what the scores mean."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from click.testing import CliRunner

from buscomp.cli import main
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.loudness import integrated_lufs
from buscomp.trainer.listening_analysis import analyse, interval
from buscomp.trainer.listening_stimuli import ANCHOR, REFERENCE, excerpt_start, low_passed, matched
from buscomp.trainer.listening_test import make_test, page
from buscomp.trainer.systems import ConstantGain, Unchanged

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
RATE = 44_100
UNCHANGED, CONSTANT = "output = input", "best constant gain"


@pytest.fixture(scope="module")
def made(whole_dataset, tmp_path_factory):
    """A test of two baselines on three trials of a second."""
    folder = tmp_path_factory.mktemp("listening") / "test"
    key = make_test(
        whole_dataset, [Unchanged(), ConstantGain(0.5)], folder, trials=3, seconds=1.0, seed=1, title="Which <bus>?"
    )
    return folder, key


def results(folder: Path, key, scores, name: str = "anna") -> Path:
    """A results file in which every system gets `scores[system]`, or what that says for the trial."""
    rows = []
    for place, trial in enumerate(key["trials"]):
        for code, system in trial["conditions"].items():
            score = scores[system][place] if isinstance(scores[system], list) else scores[system]
            rows.append({"participant": name, "trial": trial["trial"], "stimulus": code, "score": score})
    path = folder / f"{name}.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_every_sound_of_a_trial_is_equally_loud_and_the_hidden_reference_is_the_reference(made):
    folder, key = made
    audio = folder / "page" / "audio"
    for trial in key["trials"]:
        assert list(trial["conditions"].values()) == [REFERENCE, UNCHANGED, CONSTANT, ANCHOR]
        loudness = []
        for code, system in trial["conditions"].items():
            sound, rate = soundfile.read(audio / f"{code}.wav")
            assert (rate, sound.shape) == (RATE, (RATE, 2))
            assert np.abs(sound).max() <= 10 ** (-1 / 20) + 1e-6
            loudness.append(integrated_lufs(sound, rate) or -np.inf)
            if system == REFERENCE:
                np.testing.assert_array_equal(sound, soundfile.read(audio / f"{trial['trial']}.wav")[0])
        assert max(loudness) - min(loudness) < 0.1
    assert len(list(audio.iterdir())) == 3 * 5


def test_the_page_names_no_system_no_host_and_no_script_can_break_out_of_its_title(made):
    folder, key = made
    text = (folder / "page" / "index.html").read_text()
    for secret in (REFERENCE + '"', ANCHOR, UNCHANGED, CONSTANT, "song-", "thr-"):
        assert secret not in text
    assert not re.search(r"https?://|@import|url\(", text)
    assert "<bus>" not in text
    assert "Which \\u003cbus>?" in text
    assert page(key) == text


def test_the_anchor_loses_a_tone_of_7_khz_and_keeps_one_of_1_khz():
    time_s = np.arange(RATE) / RATE
    for hz, gain in ((1000, 1.0), (7000, 0.0)):
        tone = np.sin(2 * np.pi * hz * time_s)[:, None].astype(np.float32)
        middle = low_passed(tone, RATE)[10_000:30_000]
        assert np.sqrt(2) * middle.std() == pytest.approx(gain, abs=1e-3)


def test_the_excerpt_is_where_the_gain_moves():
    dry = 0.1 * np.random.default_rng(0).standard_normal((10 * RATE, 1)).astype(np.float32)
    wet = dry.copy()
    for begin in np.arange(6.0, 8.0, 0.2):  # two seconds of pumping
        wet[round(begin * RATE) : round((begin + 0.1) * RATE)] *= 0.3
    assert excerpt_start(dry, wet, 2 * RATE, RATE) / RATE == pytest.approx(6.0, abs=0.5)
    assert excerpt_start(dry[:RATE], wet[:RATE], 2 * RATE, RATE) == 0


def test_a_loud_peak_lowers_the_whole_trial_and_keeps_its_sounds_equally_loud():
    rng = np.random.default_rng(0)
    soft = 0.01 * rng.standard_normal((2 * RATE, 1)).astype(np.float32)
    spiky = soft.copy()
    spiky[RATE] = 1.0
    found = matched({"soft": soft, "spiky": spiky}, RATE)
    assert np.abs(found["spiky"]).max() == pytest.approx(10 ** (-1 / 20), abs=1e-4)
    loudness = [integrated_lufs(audio, RATE) for audio in found.values()]
    assert loudness[0] == pytest.approx(loudness[1], abs=0.1)


def test_a_listener_who_misses_the_hidden_reference_in_one_of_three_trials_is_left_out(made, tmp_path):
    folder, key = made
    good = {REFERENCE: 100, UNCHANGED: [60, 70, 80], CONSTANT: 50, ANCHOR: 20}
    files = [
        results(tmp_path, key, good, "anna"),
        results(tmp_path, key, good | {UNCHANGED: [70, 80, 90]}, "ben"),
        results(tmp_path, key, good | {REFERENCE: [100, 100, 80], UNCHANGED: 0}, "deaf"),
    ]
    found = analyse(folder / "key.json", files)
    assert found.left_out == {"deaf": pytest.approx(1 / 3)}
    assert [score.system for score in found.scores] == [REFERENCE, UNCHANGED, CONSTANT, ANCHOR]
    unchanged = found.scores[1]
    assert (unchanged.listeners, unchanged.scores, unchanged.mean, unchanged.median) == (2, 6, 75.0, 75.0)
    assert unchanged.low == pytest.approx(75 - 12.7062 * 5, abs=1e-3)  # t of one degree of freedom, standard error 5
    assert unchanged.high == 100.0


def test_the_interval_of_ten_scores_is_students():
    values = np.array([50.0, 60, 55, 65, 70, 52, 58, 61, 63, 66])
    low, high = interval(values)
    half = 2.262157 * values.std(ddof=1) / np.sqrt(10)
    assert low == pytest.approx(values.mean() - half)
    assert high == pytest.approx(values.mean() + half)
    assert interval(values[:1]) == (None, None)


def test_results_of_another_test_a_score_of_120_and_a_second_sitting_are_refused(made, tmp_path):
    folder, key = made
    good = results(tmp_path, key, dict.fromkeys((REFERENCE, UNCHANGED, CONSTANT, ANCHOR), 95))
    with pytest.raises(DatasetError, match="scored a sound twice, got anna"):
        analyse(folder / "key.json", [good, good])
    table = pd.read_csv(good)
    table.assign(trial="trial99").to_csv(tmp_path / "other.csv", index=False)
    with pytest.raises(DatasetError, match="no such trial, got trial99"):
        analyse(folder / "key.json", [tmp_path / "other.csv"])
    table.assign(score=120).to_csv(tmp_path / "loud.csv", index=False)
    with pytest.raises(DatasetError, match=r"from 0 to 100, got 120"):
        analyse(folder / "key.json", [tmp_path / "loud.csv"])
    table[["trial"]].to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(DatasetError, match="not the columns"):
        analyse(folder / "key.json", [tmp_path / "short.csv"])


def test_the_webmushra_configuration_lists_all_but_the_reference_and_its_results_are_read(made, tmp_path):
    folder, key = made
    document = yaml.safe_load((folder / "webmushra" / "listening.yaml").read_text())
    begin, (order, *trials), end = document["pages"]
    assert (begin["type"], order, end["type"]) == ("generic", "random", "finish")
    assert [len(trial["stimuli"]) for trial in trials] == [3, 3, 3]
    for trial, described in zip(trials, key["trials"], strict=True):
        hidden = {described["conditions"][code] for code in trial["stimuli"]}
        assert hidden == {UNCHANGED, CONSTANT, ANCHOR}
        assert trial["reference"] == f"configs/audio/{described['trial']}.wav"
    rows = [
        {"session_uuid": "u1", "trial_id": trial["id"], "rating_stimulus": code, "rating_score": score}
        for trial in trials
        for code, score in [("reference", 100), *((code, 40) for code in trial["stimuli"])]
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "mushra.csv", index=False)
    means = {score.system: score.mean for score in analyse(folder / "key.json", [tmp_path / "mushra.csv"]).scores}
    assert means == {REFERENCE: 100, UNCHANGED: 40, CONSTANT: 40, ANCHOR: 40}


def test_a_folder_that_holds_something_and_a_system_that_is_there_twice_are_refused(whole_dataset, tmp_path):
    (tmp_path / "old").write_text("")
    options: dict[str, Any] = {"trials": 1, "seconds": 1.0, "seed": 0, "title": "T"}
    with pytest.raises(UsageError, match="must be empty"):
        make_test(whole_dataset, [Unchanged()], tmp_path, **options)
    with pytest.raises(UsageError, match="twice"):
        make_test(whole_dataset, [Unchanged(), Unchanged()], tmp_path / "new", **options)


def test_the_verb_makes_a_test_of_the_newest_run_and_analyses_results(dataset, tmp_path):
    from buscomp.trainer.train import train

    train(dataset, steps=1, batch=2, chunk_frames=2048, clip_chunks=2)
    told = CliRunner().invoke(
        main, ["listen", "make", "--dataset", str(dataset.root), "--trials", "2", "--seconds", "1", "--json"]
    )
    assert told.exit_code == 0, told.output
    made = json.loads(told.stdout)
    assert made["conditions"] == [REFERENCE, "s4-4-4-tvfilm", UNCHANGED, ANCHOR]
    key = json.loads((dataset.root / "listening" / "key.json").read_text())
    path = results(tmp_path, key, {REFERENCE: 100, "s4-4-4-tvfilm": 30, UNCHANGED: 60, ANCHOR: 10})
    told = CliRunner().invoke(main, ["listen", "analyse", str(path), "--dataset", str(dataset.root)])
    assert told.exit_code == 0, told.output
    assert [line.split()[0] for line in told.output.splitlines()[1:]] == [REFERENCE, "output", "s4-4-4-tvfilm", ANCHOR]


SITTING = """<!doctype html><iframe src="index.html" style="width:%dpx;height:900px;border:0"></iframe>
<pre id="told"></pre><script>
const wait = ms => new Promise(done => setTimeout(done, ms));
onload = async () => {
  const page = document.querySelector("iframe").contentDocument, view = document.querySelector("iframe").contentWindow;
  view.HTMLMediaElement.prototype.play = function () { return Promise.resolve(); };
  const told = { trials: 0, files: [], labels: 0, wide: 0, early: [] };
  const root = page.documentElement;
  const look = () => { told.wide = Math.max(told.wide, root.scrollWidth - root.clientWidth); };
  look();
  page.querySelector("form button").click();
  page.getElementById("name").value = 'Anna "A", B';
  page.querySelector("form").requestSubmit();
  while (page.getElementById("next") && told.trials < 9) {
    look();
    told.early.push(page.getElementById("next").disabled);
    const keys = page.querySelectorAll("ol.sounds li").length;
    for (let i = 0; i <= keys; i++) view.dispatchEvent(new view.KeyboardEvent("keydown", { key: String(i) }));
    for (const slider of page.querySelectorAll("input[type=range]")) {
      told.labels += slider.labels.length || slider.getAttribute("aria-label") ? 1 : 0;
      slider.value = 70; slider.dispatchEvent(new view.Event("input"));
    }
    told.early.push(page.getElementById("next").disabled);
    told.trials += 1;
    page.getElementById("next").click();
    await wait(20);
  }
  look();
  told.csv = page.getElementById("results").value;
  told.link = page.querySelector("a[download]").download;
  document.getElementById("told").textContent = JSON.stringify(told);
}
</script>"""


def browse(folder: Path, *arguments: str) -> str:
    """What a headless browser with no way to any host answers."""
    assert BROWSER is not None
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    common = ["--headless", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-dev-shm-usage"]
    command = [BROWSER, *alone, *common, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [320, 1000])
def test_a_listener_goes_through_the_test_by_keyboard_and_the_results_are_read(made, tmp_path, width):
    """Every sound is played by its key and scored 70; no trial ends before that, and nothing reaches over the side."""
    folder, _ = made
    sitting = shutil.copytree(folder / "page", tmp_path / "page")
    (sitting / "sitting.html").write_text(SITTING % width)
    told = browse(
        tmp_path, "--allow-file-access-from-files", "--virtual-time-budget=8000", "--dump-dom",
        f"file://{sitting}/sitting.html",
    )  # fmt: skip
    found = re.search(r'<pre id="told">(\{.*?\})</pre>', told, re.S)
    assert found is not None, told[-2000:]
    seen = json.loads(found[1].replace("&quot;", '"'))
    assert (seen["trials"], seen["labels"], seen["wide"]) == (3, 12, 0)
    assert seen["early"] == [True, False] * 3
    assert seen["link"] == "listening-Anna_A_B.csv"
    (tmp_path / "anna.csv").write_text(seen["csv"])
    table = pd.read_csv(tmp_path / "anna.csv")
    assert set(table["participant"]) == {'Anna "A", B'}
    assert len(table) == 12
    assert sorted(table["trial_position"]) == sorted([1, 2, 3] * 4)
    result = analyse(folder / "key.json", [tmp_path / "anna.csv"])
    assert result.left_out == {'Anna "A", B': 1.0}  # 70 for the hidden reference, too


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2] if len(colour) == 7 else 2 * colour[1 + i // 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_text_of_the_page_has_contrast_aa_in_light_and_dark(made):
    text = (made[0] / "page" / "index.html").read_text()
    schemes = re.findall(r":root \{([^}]*)\}", text)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+): (#\w+)", scheme))
        pairs = [(ink, ground) for ink in ("ink", "soft") for ground in ("paper", "raised")]
        for ink, ground in [*pairs, ("on-accent", "accent"), ("accent", "paper")]:
            light, dark = sorted((luminance(colours[ink]), luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)
        light, dark = sorted((luminance(colours["line"]), luminance(colours["paper"])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3
