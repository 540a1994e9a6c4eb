"""The two models of the paper on this machine, without a server: Qwen2-Audio-Instruct hears, Llama 3 sorts.

Both by transformers, from a folder or an id (see `hub_model.py`). Qwen2-Audio takes 17 GB of memory in half precision,
Llama 3 of 8 billion parameters 16 GB; with less on the card, a server on another machine is the better way
(`captions.py`). Answers are greedy, so the same model says the same again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ..manifests.pcm import Float32
from . import organise
from .answer_cache import AnswerCache
from .captions import MAX_TOKENS, Json, Pipeline, positive, short
from .hub_model import device_of, model_folder, model_version


class LocalListener:
    """A Qwen2-Audio of transformers; `batch` segments are heard at once."""

    sample_rate = 16_000

    def __init__(self, model: str, device: str, batch: int):
        self._model, self._device, self._batch = model, device, batch

    @property
    def model(self) -> str:
        return model_version(self._model)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor

        folder = model_folder(self._model)
        processor = Qwen2AudioProcessor.from_pretrained(folder, local_files_only=True)
        processor.tokenizer.padding_side = "left"  # what is generated follows every prompt at once
        return processor, _placed(Qwen2AudioForConditionalGeneration, folder, self._device)

    def describe(self, sounds: Sequence[Float32], prompt: str) -> list[str]:
        """A description of each of `sounds` (frames,) at 16 kHz."""
        processor, model = self._loaded
        content = [{"type": "audio", "audio_url": "segment.wav"}, {"type": "text", "text": prompt}]
        asked = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        told: list[str] = []
        for at in range(0, len(sounds), self._batch):
            group = list(sounds[at : at + self._batch])
            given = processor(
                text=[asked] * len(group),
                audio=group,
                sampling_rate=self.sample_rate,
                return_tensors="pt",
                padding=True,
            )
            told += _generated(model, processor.tokenizer, given, MAX_TOKENS)
        return told


class LocalWriter:
    """A chat model of transformers, such as Llama 3 Instruct."""

    def __init__(self, model: str, device: str):
        self._model, self._device = model, device

    @property
    def model(self) -> str:
        return model_version(self._model)

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        folder = model_folder(self._model)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return tokenizer, _placed(AutoModelForCausalLM, folder, self._device)

    def write(self, messages: list[Json], schema: Json) -> str:
        """The answer to `messages`. Nothing holds the model to `schema` here: the prompt asks for it, and the answer
        is checked."""
        tokenizer, model = self._loaded
        given = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        return _generated(model, tokenizer, given, organise.MAX_TOKENS)[0]


def from_transformers(
    model: str = "Qwen/Qwen2-Audio-7B-Instruct",
    organiser_model: str = "meta-llama/Meta-Llama-3-8B-Instruct",
    device: str = "auto",
    batch: str = "4",
    cache: str | None = None,
) -> Pipeline:
    """The pipeline with both models on this machine."""
    return Pipeline(
        f"{short(model)}+{short(organiser_model)}",
        LocalListener(model, device, int(positive("batch", batch))),
        LocalWriter(organiser_model, device),
        AnswerCache(Path(cache) if cache else None),
    )


def _placed(kind: Any, folder: Path, device: str) -> Any:
    """A model on its device, in the precision it was saved in on a graphics card, in single precision without one."""
    import torch

    chosen = device_of(device)
    precision = "auto" if chosen != "cpu" else torch.float32
    return kind.from_pretrained(folder, dtype=precision, local_files_only=True).to(chosen).eval()


def _generated(model: Any, tokenizer: Any, given: Any, max_tokens: int) -> list[str]:
    """What `model` says to each of the batch `given`, greedily, without what it was told."""
    import torch

    given = given.to(model.device)
    with torch.inference_mode():
        told = model.generate(**given, max_new_tokens=max_tokens, do_sample=False)
    said = tokenizer.batch_decode(told[:, given["input_ids"].shape[1] :], skip_special_tokens=True)
    return [text.strip() for text in said]
