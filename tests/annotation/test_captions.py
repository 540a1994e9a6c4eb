"""`annotation.captions` against a server on this machine: what is sent, kept, and never asked twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from buscomp.annotation.annotate import annotate
from buscomp.annotation.backend import Choice
from buscomp.annotation.captions import PROMPT, Pipeline, from_endpoint
from buscomp.annotation.endpoint import EndpointError
from buscomp.annotation.listening import backend_of
from buscomp.annotation.organise import OrganiseError
from buscomp.annotation.presets import presets
from buscomp.manifests.dataset import Dataset
from buscomp.manifests.errors import DatasetError, UsageError
from buscomp.tests.annotation.chat_server import ChatServer, Reply, chat_server, says, sound_of

RATE = 8000


def model(body: dict[str, Any]) -> Reply:
    """Describes audio by its length, and sorts what it described."""
    if "response_format" in body:
        count = len(body["messages"][1]["content"].splitlines())
        odd = list(range(1, count + 1, 2))
        return says(json.dumps({"genres": [{"label": "rock", "segments": odd}], "instruments": []}))
    return says(f"{sound_of(body)[0]} frames\nof rock.")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with chat_server() as running:
        running.answer = model
        yield running


def song(seconds: float, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * RATE), 2)).astype(np.float32)


def pipeline(server: ChatServer, folder: Path, **options: str) -> Pipeline:
    return from_endpoint(url=server.base_url, cache=str(folder), **options)


def test_a_song_of_27_s_is_heard_in_three_segments_the_last_shorter(server: ChatServer, tmp_path: Path) -> None:
    values = pipeline(server, tmp_path).annotate(song(27), RATE)
    sounds = sorted(sound_of(body) for body in server.heard if "response_format" not in body)
    assert sounds == [(112_000, 16_000), (160_000, 16_000), (160_000, 16_000)]
    segments = values["segments"].value
    assert [(s.start_s, s.end_s, s.caption) for s in segments] == [
        (0, 10, "160000 frames of rock."),
        (10, 20, "160000 frames of rock."),
        (20, 27, "112000 frames of rock."),
    ]
    assert segments[0].answer == "160000 frames\nof rock."
    assert values["genres"].value == ["rock"]
    assert values["genres"].confidence == pytest.approx(2 / 3)


def test_a_second_run_asks_nothing_and_says_the_same(server: ChatServer, tmp_path: Path) -> None:
    first = pipeline(server, tmp_path).annotate(song(20), RATE)
    assert len(server.heard) == 3
    assert pipeline(server, tmp_path).annotate(song(20), RATE) == first
    assert len(server.heard) == 3


def test_another_song_another_model_and_a_damaged_answer_are_asked_anew(server: ChatServer, tmp_path: Path) -> None:
    pipeline(server, tmp_path).annotate(song(10), RATE)
    pipeline(server, tmp_path).annotate(song(10, seed=1), RATE)
    assert len(server.heard) == 3  # two captions; both read alike, so they are organised once
    pipeline(server, tmp_path, model="other/listener").annotate(song(10), RATE)
    assert [body["model"] for body in server.heard[3:]] == ["other/listener"]
    for path in tmp_path.rglob("*.json"):
        path.write_text("{")
    pipeline(server, tmp_path).annotate(song(10), RATE)
    assert len(server.heard) == 6


def test_equal_segments_are_asked_once(server: ChatServer, tmp_path: Path) -> None:
    silence = np.zeros((40 * RATE, 1), np.float32)
    values = pipeline(server, tmp_path).annotate(silence, RATE)
    assert len(server.heard) == 2
    assert len(values["segments"].value) == 4


def test_what_was_heard_before_a_break_down_is_not_asked_again(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda body: says("no idea") if "response_format" in body else model(body)
    with pytest.raises(OrganiseError):
        pipeline(server, tmp_path).annotate(song(20), RATE)
    assert len(server.heard) == 5
    server.answer = model
    assert pipeline(server, tmp_path).annotate(song(20), RATE)["genres"].value == ["rock"]
    assert len(server.heard) == 6  # two bad answers are no reason to ask for captions again, nor are they kept


def test_the_other_form_of_audio_reaches_the_server_too(server: ChatServer, tmp_path: Path) -> None:
    pipeline(server, tmp_path, audio_part="audio_url").annotate(song(10), RATE)
    assert sound_of(server.heard[0]) == (160_000, 16_000)
    assert server.heard[0]["messages"][0]["content"][0]["type"] == "audio_url"


def test_the_organiser_is_held_to_the_schema(server: ChatServer, tmp_path: Path) -> None:
    pipeline(server, tmp_path).annotate(song(10), RATE)
    form = server.heard[-1]["response_format"]
    assert form["type"] == "json_schema"
    assert "rock" in form["json_schema"]["schema"]["properties"]["genres"]["items"]["properties"]["label"]["enum"]


def test_one_refusal_ends_a_song(server: ChatServer, tmp_path: Path) -> None:
    server.answer = lambda body: (404, {}, b'{"error": "no such model"}')
    with pytest.raises(UsageError, match="no such model"):
        pipeline(server, tmp_path, at_once="2").annotate(song(100), RATE)
    assert len(server.heard) < 10


def test_empty_audio_asks_nothing(server: ChatServer, tmp_path: Path) -> None:
    values = pipeline(server, tmp_path).annotate(np.zeros((0, 2), np.float32), RATE)
    assert server.heard == []
    assert (values["genres"].value, values["segments"].value) == (None, ())


def test_names_and_versions_tell_the_models(tmp_path: Path) -> None:
    paper = from_endpoint(cache=str(tmp_path))
    assert paper.name == "qwen2-audio+llama3"
    assert "Qwen/Qwen2-Audio-7B-Instruct" in paper.version
    own = from_endpoint(model="me/Ears", organiser_model="me/Brain", cache=str(tmp_path))
    assert own.name == "ears+brain"
    assert own.version != paper.version


def test_the_paper_s_two_models_are_the_default_and_newer_ones_have_presets() -> None:
    paper, flamingo, omni = (presets()[name] for name in ("paper", "music-flamingo", "qwen3-omni"))
    assert paper.listener.model == "Qwen/Qwen2-Audio-7B-Instruct"
    assert paper.organiser.model == "meta-llama/Meta-Llama-3-8B-Instruct"
    assert paper.listener.base_url != paper.organiser.base_url
    assert (flamingo.listener.model, omni.listener.model) == (
        "nvidia/music-flamingo-hf",
        "Qwen/Qwen3-Omni-30B-A3B-Instruct",
    )
    assert omni.listener.base_url == omni.organiser.base_url
    for preset in presets().values():
        assert {urlsplit(each.base_url).hostname for each in (preset.listener, preset.organiser)} == {"localhost"}


@pytest.fixture
def _key_and_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BUSCOMP_API_KEY", "secret-17")
    monkeypatch.setenv("BUSCOMP_ANSWERS", str(tmp_path / "answers"))
    monkeypatch.setattr("buscomp.annotation.makers.DEFAULT", ())
    backend_of.cache_clear()


def answered(server: ChatServer) -> Choice:
    return Choice("captions", (("url", server.base_url),))


@pytest.mark.usefixtures("_key_and_cache")
def test_a_dataset_is_captioned_once_and_the_key_is_nowhere_on_disk(
    server: ChatServer, dataset: Dataset, tmp_path: Path
) -> None:
    assert annotate(dataset, backends=[answered(server)], jobs=1).new == 3
    asked = len(server.heard)
    assert asked == 4  # a caption of each song of 1 s; all three read alike, so they are organised once
    assert server.headers["Authorization"] == "Bearer secret-17"
    assert annotate(dataset, backends=[answered(server)], jobs=1).new == 0
    assert annotate(dataset, backends=[answered(server)], again=True, jobs=1).new == 3
    assert len(server.heard) == asked
    rows = dataset.rows("annotations")
    assert [(row["genres"], row["genres_backend"]) for row in rows] == [(["rock"], "qwen2-audio+llama3")] * 3
    (piece, *_) = dataset.rows("segments")
    assert (piece["caption"], piece["caption_prompt"]) == ("16000 frames of rock.", PROMPT)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"secret-17" not in path.read_bytes(), path
    assert list((tmp_path / "answers").rglob("*.json"))


@pytest.mark.usefixtures("_key_and_cache")
def test_a_song_whose_captions_cannot_be_organised_is_named_and_the_others_are_done(
    server: ChatServer, dataset: Dataset
) -> None:
    loud = [0]

    def sometimes(body: dict[str, Any]) -> Reply:
        if "response_format" in body:
            return says("no idea") if "odd" in body["messages"][1]["content"] else model(body)
        loud[0] += 1
        return says("odd" if loud[0] == 2 else f"even {loud[0]}")

    server.answer = sometimes
    with pytest.raises(DatasetError, match="could not annotate song-1: the captions of a song could not be organised"):
        annotate(dataset, backends=[answered(server)], jobs=1)
    assert [row["song_id"] for row in dataset.rows("annotations")] == ["song-0", "song-2"]


def test_options_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="no such preset of models, got nothing"):
        from_endpoint(preset="nothing")
    with pytest.raises(UsageError, match="no such form of audio"):
        from_endpoint(audio_part="mp3")
    with pytest.raises(UsageError, match="at_once must be a number"):
        from_endpoint(at_once="many")


def test_every_preset_makes_a_pipeline_of_its_name(tmp_path: Path) -> None:
    for preset, described in presets().items():
        assert from_endpoint(preset=preset, cache=str(tmp_path)).name == described.name
    assert "paper" in presets()
    assert EndpointError.exit_status == 1
