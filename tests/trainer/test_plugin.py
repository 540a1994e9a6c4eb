"""Plugins as systems: a map from settings to parameters, a search for what it leaves open, a VST3 from Debian."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from buscomp.cli import main
from buscomp.manifests.errors import UsageError
from buscomp.manifests.pcm import quantise, read_audio, write_flac
from buscomp.tests.small_dataset import music
from buscomp.trainer.evaluate import TEST_CELLS, evaluate
from buscomp.trainer.plugin import Plugin, PluginCandidate
from buscomp.trainer.plugin_fit import fit_plugin
from buscomp.trainer.plugin_map import PluginMap, Source, load_plugin_map

ZAM = Path("/usr/lib/vst3/ZamCompX2.vst3")
needs_zam = pytest.mark.skipif(
    not ZAM.exists() and os.environ.get("BUSCOMP_REQUIRE_RIG") != "1", reason="needs the Debian package zam-plugins"
)
COMPRESSOR = """
name: built-in compressor
plugin: pedalboard:Compressor
map:
  threshold_db: {from: threshold_db}
  ratio: {from: ratio}
  attack_ms: {from: attack_ms}
  release_ms: {from: release_s, factor: 1000, words: {auto: 300}}
"""
ZAM_MAP = f"""
name: ZamCompX2
plugin: {ZAM}
set: {{makeup_db: 0, knee_db: 3, stereo_detection: 1}}
map:
  threshold_db: {{from: threshold_db}}
  ratio: {{from: ratio}}
  attack_ms: {{from: attack_ms}}
  release_ms: {{from: release_s, factor: 1000, words: {{auto: 300}}, limits: [1, 500]}}
"""


def written(folder, text):
    path = folder / "map.yaml"
    path.write_text(text)
    return path


def through_the_plugin(dataset, map_path, **moves):
    """Every wet file anew: what the plugin makes of its dry audio when the parameters of `moves` stand elsewhere."""
    candidate = PluginCandidate(dataset, map_path)
    candidate.moves = moves
    for take in dataset.pair_table().to_dict("records"):
        dry, rate = read_audio(dataset.file(take["dry_path"]))
        (wet,) = candidate.outputs([take], [dry])
        write_flac(dataset.file(take["wet_path"]), quantise(wet), rate)
    return dataset


def test_a_source_goes_straight_between_points_or_on_a_log_scale_and_holds_beyond_them():
    straight = Source.model_validate({"from": "ratio", "points": {2: 10, 4: 30}})
    assert [straight.value(ratio) for ratio in (1.5, 3.0, 10.0)] == [10, 20, 30]
    log = Source.model_validate({"from": "attack_ms", "points": {0.1: 1, 10: 100}, "scale": "log"})
    assert log.value(1.0) == pytest.approx(10)
    scaled = Source.model_validate({"from": "release_s", "factor": 1000, "limits": [5, 500], "words": {"auto": 250}})
    assert [scaled.value(position) for position in (0.1, 0.8, "auto")] == [100, 500, 250]
    with pytest.raises(UsageError, match="does not say what release_s at slow means"):
        scaled.value("slow")


@given(st.floats(-40, 0), st.floats(-12, 12))
def test_a_move_is_added_to_numbers_held_at_the_limits_and_leaves_words_alone(threshold_db, move):
    plugin_map = PluginMap.model_validate(
        {
            "name": "x",
            "set": {"mode": "Soft"},
            "map": {"threshold_db": {"from": "threshold_db", "limits": [-40, 0]}},
            "fit": {"threshold_db": {"add": [-12, 12]}, "mode": {"times": [1, 2]}},
        }
    )
    found = plugin_map.parameters({"threshold_db": threshold_db}, {"threshold_db": move, "mode": 2.0})
    assert found == {"mode": "Soft", "threshold_db": pytest.approx(np.clip(threshold_db + move, -40, 0))}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name: x\nmap: {gain: {from: volume}}\n",
            "map.yaml: gain comes from a control that the unit lacks, got volume",
        ),
        ("name: x\nmap: {gain: {from: release_s}}\n", "release_s at auto means; add words"),
        ("name: x\nmap: {gain: {from: ratio, points: {1: 2}, factor: 3}}\n", "map.yaml:2: .*either points, or factor"),
        ("name: x\nset: {a: 1}\nmap: {a: {from: ratio}}\n", "a stands in both set and map"),
        ("name: x\nfit: {a: {add: [1, 2]}}\n", "fit moves a, which is neither set nor mapped"),
        ("name: x\nset: {a: 1}\nfit: {a: {times: [0, 2]}}\n", "positive for times"),
        ("name: x\nset: {a: !!python/object/apply:os.system [true]}\n", "not valid YAML"),
        ("name: x\nmap: {gain: {from: ratio, points: {1: -2, 4: 1}, scale: log}}\n", "positive points"),
    ],
)
def test_a_mistake_in_a_map_is_named(dataset, tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        load_plugin_map(written(tmp_path, text), dataset.unit)


def test_a_built_in_plugin_is_measured_like_a_model_and_reads_zero_on_its_own_takes(dataset, tmp_path):
    path = written(tmp_path, COMPRESSOR)
    through_the_plugin(dataset, path)
    rows = evaluate(dataset, plugins=[PluginCandidate(dataset, path)], cells=TEST_CELLS).rows
    for row in rows:
        if row["model"] == "built-in compressor":
            assert (row["params"], row["checkpoint"]) == (0, "map.yaml")
            assert row["l1"] < 1e-6
            assert row["gain_trace_rmse_db"] < 0.01
        else:
            assert row["gain_trace_rmse_db"] > 0.01
    assert {row["model"] for row in dataset.rows("results")} >= {"built-in compressor", "output = input"}


def test_a_search_finds_that_the_units_panel_reads_6_db_and_a_third_of_the_release(dataset, tmp_path):
    fit = "fit:\n  threshold_db: {add: [-12, 12]}\n  release_ms: {times: [0.2, 5]}\n"
    path = written(tmp_path, COMPRESSOR + fit)
    through_the_plugin(dataset, path, threshold_db=-6.0, release_ms=1 / 3)
    candidate = PluginCandidate(dataset, path)
    found = fit_plugin(dataset, candidate, excerpts=2, most_calls=80)
    assert found.moves["threshold_db"] == pytest.approx(-6, abs=0.3)
    assert found.moves["release_ms"] == pytest.approx(1 / 3, rel=0.15)
    assert found.after_db < found.before_db / 10
    assert (candidate.moves, candidate.system.params) == (found.moves, 2)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("pedalboard:NoSuch", "pedalboard has no such plugin, got NoSuch"),
        ("pedalboard:load_plugin", "no such plugin"),
        ("nowhere.vst3", "no such plugin: nowhere.vst3"),
        (__file__, "cannot be loaded as a plugin"),
    ],
)
def test_what_is_no_plugin_is_refused(where, message):
    with pytest.raises(UsageError, match=message):
        Plugin(where)


def test_a_parameter_that_a_plugin_lacks_or_refuses_is_an_error_not_silence():
    plugin = Plugin("pedalboard:Compressor")
    with pytest.raises(UsageError, match=r"no such parameter, got treshold_db .*threshold_db"):
        plugin.set({"treshold_db": -20})
    with pytest.raises(UsageError, match="refuses ratio"):
        plugin.set({"ratio": 0.5})


@needs_zam
def test_a_vst3_of_debian_takes_away_what_threshold_and_ratio_say():
    """A sine is 20 dB over the threshold by its peaks, and 17 by its RMS: at a ratio of 4 it loses 15 to 12.75 dB."""
    plugin, rate = Plugin(str(ZAM)), 44_100
    plugin.set({"threshold_db": -30, "ratio": 4, "attack_ms": 10, "release_ms": 80, "knee_db": 0, "makeup_db": 0})
    sine = 10 ** (-10 / 20) * np.sin(2 * np.pi * 1000 * np.arange(2 * rate) / rate)
    audio = np.repeat(sine[:, None], 2, axis=1).astype(np.float32)
    output = plugin.process(audio, rate)
    assert output.shape == audio.shape
    gain_db = 20 * np.log10(np.sqrt(np.mean(output[rate:] ** 2) / np.mean(audio[rate:] ** 2)))
    assert -15.0 < gain_db < -12.75
    with pytest.raises(UsageError, match="refuses ratio"):
        plugin.set({"ratio": 1000})
    with pytest.raises(UsageError, match="no such parameter"):
        plugin.set({"volume": 1})


@needs_zam
def test_a_mono_vst3_says_what_to_write_and_then_takes_each_channel_by_itself():
    mono = Plugin(str(ZAM.with_name("ZamComp.vst3")))
    audio = music(0.5)
    with pytest.raises(UsageError, match="channels: separate"):
        mono.process(audio, 44_100)
    both = mono.process(audio, 44_100, separate=True)
    np.testing.assert_allclose(both[:, 1:], mono.process(audio[:, 1:], 44_100), atol=1e-6)


@needs_zam
def test_a_vst3_is_evaluated_from_the_command_line_and_fitted(dataset, tmp_path):
    path = written(tmp_path, ZAM_MAP)
    through_the_plugin(dataset, path)
    here = ("--dataset", str(dataset.root), "--cells", "test", "--json")
    off = written(tmp_path, ZAM_MAP.replace("makeup_db: 0,", "makeup_db: 6,") + "fit: {makeup_db: {add: [-6, 6]}}\n")
    results = {}
    for fit in ((), ("--fit",)):
        told = CliRunner().invoke(main, ["evaluate", "--map", str(off), *fit, *here], catch_exceptions=False)
        assert told.exit_code == 0, told.output
        document = json.loads(told.stdout)
        results[fit] = next(row for row in document["results"] if row["model"] == "ZamCompX2")
    assert document["fit"]["moves"]["makeup_db"] == pytest.approx(-6, abs=0.1)
    assert results[()]["gain_offset_db"] == pytest.approx(6, abs=0.1)
    assert results["--fit",]["gain_trace_rmse_db"] < 0.1
    told = CliRunner().invoke(main, ["evaluate", "--plugin", str(ZAM), *here])
    assert (told.exit_code, "--map" in told.output) == (2, True)
