"""`annotation.references`: what others play, embedded beside the songs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from buscomp.annotation import backend as backends
from buscomp.annotation import listening
from buscomp.annotation.backend import Choice, Entry
from buscomp.annotation.commands import annotate as verb
from buscomp.annotation.reference_inputs import COUNT, KINDS, SAMPLE_RATE, reference_input, string
from buscomp.annotation.references import Embedded, embed_references
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.manifests.tables import write_table
from buscomp.tests.annotation import quick_backend
from buscomp.tests.annotation.quick_backend import Quick, heard, state


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only default is a backend that answers at once; `other` is one more, to ask for by name."""
    entry = Entry(quick_backend.__name__, "Quick", Quick.gives, "for tests")
    monkeypatch.setitem(backends.BACKENDS, "quick", entry)
    monkeypatch.setitem(backends.BACKENDS, "other", entry)
    monkeypatch.setattr("buscomp.annotation.makers.DEFAULT", ("quick",))
    monkeypatch.setattr("buscomp.annotation.references.COUNT", 2)
    listening.backend_of.cache_clear()
    quick_backend.reset()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files of audio in two folders, one of them quiet, and two that are none of the set."""
    here = tmp_path / "theirs"
    (here / "more").mkdir(parents=True)
    (here / ".trash").mkdir()
    tone = np.sin(np.arange(8_000) / 20)
    for name, level in (("a.wav", 0.9), ("more/b.flac", 0.01), ("more/C.WAV", 0.5), (".trash/d.wav", 0.5)):
        soundfile.write(here / name, level * tone, 8_000)
    (here / "notes.txt").write_text("no audio")
    return here


def rows_of(dataset: Dataset) -> list[tuple[Any, ...]]:
    return [(row["reference"], row["item"], row["embedding_backend"]) for row in dataset.rows("references")]


def embedded(dataset: Dataset, folder: Path | None = None, **options: Any) -> Embedded:
    return embed_references(dataset, {} if folder is None else {"theirs": folder}, **options)


@pytest.mark.usefixtures("_quick")
def test_noise_tones_and_strings_are_embedded_by_every_backend_that_gives_an_embedding(dataset: Dataset) -> None:
    found = embedded(dataset, backends=[Choice("other", (("name", "second"),)), Choice("tempo")])
    assert (found.sets, found.new, found.kept) == ({"noise": 2, "plucked": 2, "tones": 2}, 6, 0)
    assert heard == [441_000] * 6
    row = dataset.rows("references")[0]
    assert (row["reference"], row["item"], row["duration_s"]) == ("noise", "pink-1", 10.0)
    assert (row["embedding"], row["embedding_backend"], row["embedding_version"]) == ([1.0, 2.0], "second", "1")
    assert embedded(dataset).new == 6  # the default gives one, too
    assert rows_of(dataset)[:2] == [("noise", "pink-1", "quick"), ("noise", "pink-1", "second")]


@pytest.mark.usefixtures("_quick")
def test_a_folder_is_a_set_of_its_audio_files_brought_to_the_level_of_songs(
    dataset: Dataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peaks: list[float] = []
    listen = Quick.annotate

    def measure(self: Quick, audio: Any, sample_rate: int) -> Any:
        peaks.append(float(np.abs(audio).max()))
        assert sample_rate == 8_000
        return listen(self, audio, sample_rate)

    monkeypatch.setattr(Quick, "annotate", measure)
    found = embedded(dataset, folder, built_in=False)
    assert (found.sets, found.new, found.kept) == ({"theirs": 3}, 3, 0)
    assert rows_of(dataset) == [("theirs", name, "quick") for name in ("a.wav", "more/C.WAV", "more/b.flac")]
    assert peaks == pytest.approx([10 ** (-12 / 20)] * 3, rel=1e-3)


@pytest.mark.usefixtures("_quick")
def test_a_second_run_hears_only_what_changed_and_forgets_what_is_gone(dataset: Dataset, folder: Path) -> None:
    embedded(dataset, folder)
    assert embedded(dataset, folder).new == 0
    (folder / "a.wav").unlink()
    soundfile.write(folder / "more/b.flac", np.ones(8_000) / 2, 8_000)
    found = embedded(dataset, folder, built_in=False)
    assert (found.new, found.kept, found.sets["theirs"], found.sets["noise"]) == (1, 1, 2, 2)
    state["version"] = "2"
    assert embedded(dataset, folder).new == 8
    assert {row["embedding_version"] for row in dataset.rows("references")} == {"2"}
    assert embedded(dataset, again=True).sets == {"noise": 2, "plucked": 2, "tones": 2}


@pytest.mark.usefixtures("_quick")
def test_an_interrupted_run_keeps_what_it_has(dataset: Dataset) -> None:
    state.update(fails_at=4, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        embedded(dataset)
    assert len(rows_of(dataset)) == 3
    state["fails_at"] = None
    assert embedded(dataset).new == 3
    quick_backend.reset()
    state.update(fails_at=2, error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        embedded(dataset, again=True)
    assert len(rows_of(dataset)) == 6  # what stood there goes at the end, and no earlier


@pytest.mark.usefixtures("_quick")
def test_files_that_are_no_audio_are_named_at_the_end_when_all_others_are_done(dataset: Dataset, folder: Path) -> None:
    (folder / "a.wav").write_text("RIFF or what")
    (folder / "z.mp3").write_text("a text")
    with pytest.raises(DatasetError, match=r"could not embed theirs/a\.wav: undecodable.* \(and 1 more files\)"):
        embedded(dataset, folder, built_in=False)
    assert rows_of(dataset) == [("theirs", name, "quick") for name in ("more/C.WAV", "more/b.flac")]


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(("name", "reason"), [("noise", "is taken"), ("songs", "is taken"), ("My Set", "is not an id")])
def test_a_name_that_cannot_be_is_refused(dataset: Dataset, folder: Path, name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        embed_references(dataset, {name: folder})


@pytest.mark.usefixtures("_quick")
def test_folders_without_audio_and_runs_without_an_embedding_are_refused(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="the reference theirs is not a folder"):
        embedded(dataset, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="the reference theirs holds no audio"):
        embedded(dataset, tmp_path / "empty")
    monkeypatch.setattr("buscomp.annotation.makers.DEFAULT", ("tempo",))
    with pytest.raises(UsageError, match="no backend in use gives an embedding"):
        embedded(dataset)
    assert not dataset.table_path("references").exists()


@pytest.mark.usefixtures("_quick")
def test_a_damaged_table_is_named_with_its_mend_which_mends_it(dataset: Dataset) -> None:
    embedded(dataset)
    dataset.table_path("references").write_bytes(b"PAR1 not really")
    with pytest.raises(DatasetError, match=r"references.parquet is damaged .*`buscomp annotate --references --again`"):
        embedded(dataset)
    assert embedded(dataset, again=True).new == 6


@pytest.mark.usefixtures("_quick")
def test_the_verb_embeds_references_after_the_songs_and_tells_both(dataset: Dataset, folder: Path) -> None:
    words = ["--dataset", str(dataset.root), "--references", "--reference", f"theirs={folder}"]
    told = CliRunner().invoke(verb, words)
    assert told.exit_code == 0, told.output
    assert told.output.splitlines()[-2:] == [
        "3 songs: 3 annotated, 0 kept.",
        "References: 2 noise, 2 plucked, 3 theirs, 2 tones, by quick: 9 embedded, 0 kept.",
    ]
    document = json.loads(CliRunner().invoke(verb, [*words, "--json"]).stdout)
    assert document["references"] == {
        "sets": {"noise": 2, "plucked": 2, "theirs": 3, "tones": 2},
        "new": 0,
        "kept": 9,
    }
    assert "references" not in json.loads(CliRunner().invoke(verb, [*words[:2], "--json"]).stdout)
    for wrong in ("theirs", "=x", "theirs=", f"noise={folder}"):
        assert isinstance(CliRunner().invoke(verb, [*words[:2], "--reference", wrong]).exception, UsageError), wrong


@pytest.mark.slow
def test_two_processes_write_what_one_writes_by_the_shipped_network(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr("buscomp.annotation.references.COUNT", 2)
    embedded(dataset, jobs=1)
    alone = dataset.rows("references")
    assert embedded(dataset, again=True, jobs=2).backends == ("musicnn",)
    assert dataset.rows("references") == alone
    assert {len(row["embedding"]) for row in alone} == {753}
    write_table(dataset.table_path("references"), "references", alone[:-1])
    assert embedded(dataset, jobs=1).new == 1


@pytest.mark.parametrize("kind", KINDS)
def test_reference_inputs_peak_at_minus_12_dbfs_differ_and_are_the_same_again(kind: str) -> None:
    first = dict(reference_input(kind, number, seconds=1.0) for number in range(COUNT))
    assert len(first) == COUNT
    for audio in first.values():
        assert audio.shape == (SAMPLE_RATE, 1)
        assert np.abs(audio).max() == pytest.approx(10 ** (-12 / 20), rel=1e-6)
    assert len({audio.tobytes() for audio in first.values()}) == COUNT
    name, again = reference_input(kind, 7, seconds=1.0)
    assert np.array_equal(first[name], again)


def test_pink_noise_falls_3_db_an_octave() -> None:
    pink = reference_input("noise", 1, seconds=20.0)[1][:, 0]
    power = np.abs(np.fft.rfft(pink)) ** 2
    hz = np.fft.rfftfreq(len(pink), 1 / SAMPLE_RATE)
    octaves = [10 * np.log10(power[(hz > low) & (hz < 2 * low)].mean()) for low in (250, 500, 1000, 2000, 4000)]
    assert np.diff(octaves) == pytest.approx([-3.01] * 4, abs=0.3)


@pytest.mark.parametrize("hz", [41.2, 110.0, 220.0, 440.0])
def test_a_string_sounds_at_its_pitch_within_1_percent_and_dies_away(hz: float) -> None:
    sound = string(hz, 2 * SAMPLE_RATE, 0.996, np.random.default_rng(0))
    heard = np.fft.irfft(np.abs(np.fft.rfft(sound, 4 * len(sound))) ** 2)
    period = round(SAMPLE_RATE / hz)
    near = np.arange(round(0.9 * period), round(1.1 * period))
    assert SAMPLE_RATE / near[heard[near].argmax()] == pytest.approx(hz, rel=0.01)
    assert np.abs(sound[-4410:]).max() < 0.8 * np.abs(sound[:4410]).max()


def test_another_kind_of_input_is_refused() -> None:
    with pytest.raises(ValueError, match="noise, tones, plucked, got speech"):
        reference_input("speech", 1)
