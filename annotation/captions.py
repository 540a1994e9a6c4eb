"""What an audio-language model hears in every 10 s of a song, and what a language model makes of it.

The pipeline of the Solid State Bus-Comp paper: Qwen2-Audio describes segments, Llama 3 merges the descriptions into
genres and instruments. Both stand behind addresses that speak the OpenAI chat protocol. **The audio is sent to the
address that is named**; unless told otherwise, that is this machine. Answers are kept on disk by segment, model and
prompt (`answer_cache.py`), so a run that breaks off asks only what is missing.

A score from captions is the share of segments that speak for a label: evidence, not a calibrated probability.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import soundfile

from ..manifests.errors import UsageError
from ..manifests.pcm import Float32
from . import organise
from .answer_cache import AnswerCache
from .backend import SEGMENTS, Segment, Value
from .endpoint import Endpoint, ask
from .presets import preset_of
from .segmenting import pieces_of
from .vocabulary import VOCABULARIES

BACKEND_VERSION = "1"
PROMPT_VERSION = "1"
PROMPT = (
    "Describe this excerpt of music in two or three sentences. Name its genre or genres, every instrument and kind of "
    "voice that you hear, and its mood. Say only what can be heard."
)
MAX_TOKENS = 200
Json = dict[str, Any]


class Listener(Protocol):
    """A model that hears audio. `model` is its full name with all that its answers depend on."""

    @property
    def model(self) -> str: ...
    @property
    def sample_rate(self) -> int: ...
    def describe(self, sounds: Sequence[Float32], prompt: str) -> list[str]:
        """A description of each of `sounds` (frames,), never empty."""
        ...


class Writer(Protocol):
    """A model that answers texts."""

    @property
    def model(self) -> str: ...
    def write(self, messages: list[Json], schema: Json) -> str:
        """The answer to `messages`, if possible held to `schema`."""
        ...


class Pipeline:
    """Captions, genres and instruments by a listener and a writer: what both caption backends are made of."""

    gives = ("genres", "instruments", SEGMENTS)

    def __init__(self, name: str, listener: Listener, writer: Writer, cache: AnswerCache):
        self.name = name
        self._listener, self._writer, self._cache = listener, writer, cache

    @property
    def version(self) -> str:
        prompts = f"captions-{PROMPT_VERSION}+organise-{organise.version()}"
        return f"{BACKEND_VERSION}+{prompts}+{self._listener.model}+{self._writer.model}"

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        """A caption for every 10 s of `audio` (frames, channels), and the genres and instruments of the whole."""
        pieces = pieces_of(audio, sample_rate, self._listener.sample_rate)
        captions = self._captions([piece.audio for piece in pieces])
        segments = tuple(
            Segment(piece.start_s, piece.end_s, " ".join(caption.split()), prompt=PROMPT, answer=caption)
            for piece, caption in zip(pieces, captions, strict=True)
        )
        return {**self._organised(captions), SEGMENTS: Value(segments, None)}

    def _captions(self, sounds: Sequence[Float32]) -> list[str]:
        """A caption for each of `sounds`; what was asked before is not asked again, nor is equal audio asked twice."""
        questions = [self._question(sound) for sound in sounds]
        found = {question["audio_sha256"]: self._cache.get(question) for question in questions}
        missing = {
            question["audio_sha256"]: (question, sound)
            for question, sound in zip(questions, sounds, strict=True)
            if found[question["audio_sha256"]] is None
        }
        told = self._listener.describe([sound for _, sound in missing.values()], PROMPT) if missing else []
        for (question, _), caption in zip(missing.values(), told, strict=True):
            self._cache.put(question, caption)
            found[question["audio_sha256"]] = caption
        return [str(found[question["audio_sha256"]]) for question in questions]

    def _question(self, sound: Float32) -> Json:
        sha256 = hashlib.sha256(wav_of(sound, self._listener.sample_rate)).hexdigest()
        asked = {"model": self._listener.model, "prompt_version": PROMPT_VERSION, "prompt": PROMPT}
        return asked | {"audio_sha256": sha256, "max_tokens": MAX_TOKENS}

    def _organised(self, captions: Sequence[str]) -> Mapping[str, Value]:
        """Genres and instruments. Only an answer that can be used is kept."""
        if not captions:
            return {kind: Value(None, None) for kind in VOCABULARIES}
        question = {"model": self._writer.model, "messages": organise.question(captions), "schema": organise.schema()}
        if (told := self._cache.get(question)) is None:
            told = organise.organise(captions, self._writer.write)
            self._cache.put(question, told)
        return organise.values_of(told, len(captions))


class EndpointListener:
    """A listener behind an address; `at_once` requests are under way together, so that the server can batch them."""

    def __init__(
        self, endpoint: Endpoint, sample_rate: int, audio_part: Literal["input_audio", "audio_url"], at_once: int
    ):
        self._endpoint, self._audio_part, self._at_once = endpoint, audio_part, at_once
        self.sample_rate = sample_rate

    @property
    def model(self) -> str:
        return self._endpoint.model

    def describe(self, sounds: Sequence[Float32], prompt: str) -> list[str]:
        def one(sound: Float32) -> str:
            part = audio_part(wav_of(sound, self.sample_rate), self._audio_part)
            messages = [{"role": "user", "content": [part, {"type": "text", "text": prompt}]}]
            return ask(self._endpoint, messages, max_tokens=MAX_TOKENS)

        with ThreadPoolExecutor(self._at_once) as pool:
            asked = [pool.submit(one, sound) for sound in sounds]
            try:
                return [future.result() for future in asked]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # one refusal is enough
                raise


class EndpointWriter:
    """A writer behind an address."""

    def __init__(self, endpoint: Endpoint):
        self._endpoint = endpoint

    @property
    def model(self) -> str:
        return self._endpoint.model

    def write(self, messages: list[Json], schema: Json) -> str:
        form = {"type": "json_schema", "json_schema": {"name": "song", "strict": True, "schema": schema}}
        return ask(self._endpoint, messages, max_tokens=organise.MAX_TOKENS, response_format=form)


def from_endpoint(
    preset: str = "paper",
    url: str | None = None,
    model: str | None = None,
    organiser_url: str | None = None,
    organiser_model: str | None = None,
    audio_part: str | None = None,
    at_once: str = "8",
    timeout_s: str = "120",
    cache: str | None = None,
) -> Pipeline:
    """The pipeline by addresses: those of `preset`, each part replaced by what is given. With `url` and no
    `organiser_url`, both models are asked at `url`."""
    chosen = preset_of(preset)
    part = audio_part or chosen.listener.audio_part
    if part not in ("input_audio", "audio_url"):
        raise UsageError("there is no such form of audio", got=part, allowed=("input_audio", "audio_url"))
    wait_s = positive("timeout_s", timeout_s)
    hears = Endpoint(url or chosen.listener.base_url, model or chosen.listener.model, wait_s)
    sorts = Endpoint(
        organiser_url or url or chosen.organiser.base_url, organiser_model or chosen.organiser.model, wait_s
    )
    own = model or organiser_model
    return Pipeline(
        "+".join(short(each) for each in dict.fromkeys((hears.model, sorts.model))) if own else chosen.name,
        EndpointListener(
            hears,
            chosen.listener.sample_rate,
            "audio_url" if part == "audio_url" else "input_audio",
            int(positive("at_once", at_once)),
        ),
        EndpointWriter(sorts),
        AnswerCache(Path(cache) if cache else None),
    )


def short(model: str) -> str:
    """The last part of a model's name, in small letters: qwen2-audio-7b-instruct."""
    return model.rstrip("/").rpartition("/")[2].lower()


def positive(option: str, value: str) -> float:
    """The number that a user wrote for `option`; `UsageError` unless it is one, 1 or more."""
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 1 <= number < 1e6:
        raise UsageError(f"{option} must be a number of 1 or more", got=value)
    return number


def wav_of(sound: Float32, sample_rate: int) -> bytes:
    """`sound` (frames,) as a 16-bit WAV file. Values beyond full scale are held at it."""
    file = io.BytesIO()
    pcm = np.rint(np.clip(sound, -1, 1) * 32767).astype(np.int16)
    soundfile.write(file, pcm, sample_rate, "PCM_16", format="WAV")
    return file.getvalue()


def audio_part(wav: bytes, form: Literal["input_audio", "audio_url"]) -> Json:
    """The part of a message that carries `wav`, as OpenAI's protocol has it or as vLLM's older form."""
    data = base64.b64encode(wav).decode()
    if form == "input_audio":
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    return {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{data}"}}
