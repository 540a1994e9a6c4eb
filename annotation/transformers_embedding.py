"""Embeddings by the two models of the Solid State Bus-Comp paper: MERT (acoustic) and w2v-BERT 2.0 (semantic).

Index convention: `hidden_states[0]` is what goes into the first transformer layer and `hidden_states[n]` what comes
out of the n-th, so layer 12 is `hidden_states[12]` and the last layer is `hidden_states[-1]`. A segment's vector is the
mean over its time steps, a song's the mean of its segments weighted by their length.

MERT: Y. Li et al., "MERT: Acoustic music understanding model with large-scale self-supervised training", ICLR 2024.
w2v-BERT 2.0: Seamless Communication, "Seamless: multilingual expressive and streaming speech translation" (2023).
MERT's weights forbid commercial use (CC-BY-NC-4.0). Neither model is shipped.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from ..manifests.errors import DatasetError, UsageError
from ..manifests.pcm import Float32
from .backend import SEGMENTS, Segment, Value
from .captions import positive
from .hub_model import device_of, model_folder, model_version
from .segmenting import Piece, pieces_of

BACKEND_VERSION = "1"
MAY_BE_MISSING = {"masked_spec_embed"}  # used in training only


class _Embedding(ABC):
    """What both have in common. `model`: a folder or an id; `layer`: which hidden state; `batch`: segments at once."""

    gives = ("embedding", SEGMENTS)
    sample_rate: int
    layer: int

    @property
    @abstractmethod
    def name(self) -> str:
        """With the layer: embeddings of two layers do not compare."""

    def __init__(self, model: str, revision: str | None, device: str, batch: str):
        self._model, self._revision, self._device, self._batch = model, revision, device, int(positive("batch", batch))

    @property
    def version(self) -> str:
        return f"{BACKEND_VERSION}+layer-{self.layer}+{model_version(self._model, self._revision)}"

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """Feature extractor and model, the latter on its device and ready to hear."""
        extractor, model, told = self._load(str(model_folder(self._model, self._revision)))
        missing = set(told["missing_keys"]) - MAY_BE_MISSING
        if missing or told["mismatched_keys"]:
            named = sorted(missing)[:3] or told["mismatched_keys"][:3]
            raise DatasetError(f"the weights in {self._model} do not fit: they would be random", got=named)
        return extractor, model.to(device_of(self._device)).eval()

    @abstractmethod
    def _load(self, folder: str) -> tuple[Any, Any, Mapping[str, Any]]:
        """Feature extractor and model from `folder`, and what transformers tells of loading the latter."""

    def annotate(self, audio: Float32, sample_rate: int) -> Mapping[str, Value]:
        """The embedding of `audio` (frames, channels), and that of every 10 s of it."""
        pieces = pieces_of(audio, sample_rate, self.sample_rate)
        if not pieces:
            return {"embedding": Value(None, None), SEGMENTS: Value((), None)}
        vectors = self._vectors(pieces)
        lengths = np.array([len(piece.audio) for piece in pieces], float)
        whole = np.average(vectors, axis=0, weights=lengths)
        segments = tuple(
            Segment(piece.start_s, piece.end_s, embedding=tuple(vector.tolist()))
            for piece, vector in zip(pieces, vectors, strict=True)
        )
        return {"embedding": Value(whole.tolist(), None), SEGMENTS: Value(segments, None)}

    def _vectors(self, pieces: Sequence[Piece]) -> npt.NDArray[np.float64]:
        """One vector a piece. Only pieces of one length share a batch, so that nothing is padded."""
        found = []
        for _, alike in groupby(pieces, key=lambda piece: len(piece.audio)):
            group = [piece.audio for piece in alike]
            found += [self._heard(group[at : at + self._batch]) for at in range(0, len(group), self._batch)]
        return np.concatenate(found)

    def _heard(self, sounds: list[Float32]) -> npt.NDArray[np.float64]:
        import torch

        extractor, model = self._loaded
        given = extractor(sounds, sampling_rate=self.sample_rate, return_tensors="pt").to(model.device)
        with torch.inference_mode():
            state = model(**given, output_hidden_states=True).hidden_states[self.layer]
        return np.asarray(state.float().mean(dim=1).cpu().numpy(), np.float64)


class Mert(_Embedding):
    """MERT, layer 12 of 24 (v1-330M) unless told otherwise: 1024 numbers at 24 kHz."""

    sample_rate = 24_000

    def __init__(
        self,
        model: str = "m-a-p/MERT-v1-330M",
        layer: str = "12",
        revision: str | None = None,
        device: str = "auto",
        batch: str = "8",
    ):
        super().__init__(model, revision, device, batch)
        if not layer.isdecimal():
            raise UsageError("layer must be a number, 0 or more", got=layer)
        self.layer = int(layer)

    @property
    def name(self) -> str:
        return f"mert-layer{self.layer}"

    def _load(self, folder: str) -> tuple[Any, Any, Mapping[str, Any]]:
        """As a plain HuBERT, which MERT is without its two options; its own code, which transformers outgrew, is not
        run."""
        from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

        with open(f"{folder}/config.json", encoding="utf-8") as file:
            described = json.load(file)
        for option in ("deepnorm", "feature_extractor_cqt"):
            if described.get(option):
                raise DatasetError(f"{folder} is a MERT with {option}, which is not known here")
        foreign = ("auto_map", "architectures", "model_type")
        settings = HubertConfig(**{key: value for key, value in described.items() if key not in foreign})
        if not 0 <= self.layer <= settings.num_hidden_layers:
            raise DatasetError("MERT has no such layer", got=self.layer, allowed=f"0 to {settings.num_hidden_layers}")
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)
        model, told = HubertModel.from_pretrained(
            folder, config=settings, output_loading_info=True, local_files_only=True
        )
        return extractor, model, told


class W2vBert(_Embedding):
    """w2v-BERT 2.0, its last layer: 1024 numbers at 16 kHz."""

    sample_rate = 16_000
    layer = -1

    def __init__(
        self,
        model: str = "facebook/w2v-bert-2.0",
        revision: str | None = None,
        device: str = "auto",
        batch: str = "8",
    ):
        super().__init__(model, revision, device, batch)

    @property
    def name(self) -> str:
        return "w2v-bert-2-last"

    def _load(self, folder: str) -> tuple[Any, Any, Mapping[str, Any]]:
        from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertModel

        extractor = SeamlessM4TFeatureExtractor.from_pretrained(folder, local_files_only=True)
        model, told = Wav2Vec2BertModel.from_pretrained(folder, output_loading_info=True, local_files_only=True)
        return extractor, model, told
