"""Embeddings and captions by transformers, on tiny random-weight models of the same classes. No network."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from buscomp.annotation.hub_model import device_of, model_folder, model_version
from buscomp.annotation.transformers_captions import LocalListener, LocalWriter, from_transformers
from buscomp.annotation.transformers_embedding import Mert, W2vBert
from buscomp.manifests.errors import DatasetError, UsageError

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:transformers"),
]
transformers = pytest.importorskip("transformers", reason="an extra: pip install 'buscomp[transformers]'")
torch = pytest.importorskip("torch", reason="an extra: pip install 'buscomp[transformers]'")


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def mert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A HuBERT of 14 layers with MERT's configuration file."""
    folder = tmp_path_factory.mktemp("models") / "mert"
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 14, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 48, "conv_dim": [16] * 7, "num_conv_pos_embeddings": 16}
    sizes |= {"num_conv_pos_embedding_groups": 4, "do_stable_layer_norm": True, "feat_extract_norm": "group"}
    torch.manual_seed(0)
    transformers.HubertModel(transformers.HubertConfig(**sizes)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=24_000, do_normalize=True).save_pretrained(folder)
    described = json.loads((folder / "config.json").read_text())
    described |= {"model_type": "mert_model", "architectures": ["MERTModel"], "deepnorm": False}
    described |= {"feature_extractor_cqt": False, "auto_map": {"AutoModel": "modeling_MERT.MERTModel"}}
    (folder / "config.json").write_text(json.dumps(described))
    return folder


@pytest.fixture(scope="module")
def w2v_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "w2v-bert"
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    torch.manual_seed(0)
    config = transformers.Wav2Vec2BertConfig(**sizes, feature_projection_input_dim=160, output_hidden_size=32)
    transformers.Wav2Vec2BertModel(config).save_pretrained(folder)
    transformers.SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2).save_pretrained(folder)
    return folder


def song(seconds: float, rate: int = 24_000) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal((round(seconds * rate), 2)).astype(np.float32)


def test_mert_is_the_mean_over_time_of_what_leaves_layer_12(mert: Path) -> None:
    audio = song(10)
    found = Mert(str(mert), device="cpu").annotate(audio, 24_000)["embedding"].value
    config = transformers.HubertConfig.from_pretrained(mert)
    model = transformers.HubertModel.from_pretrained(mert, config=config).eval()
    heard: list[Any] = []
    model.encoder.layers[11].register_forward_hook(lambda module, given, out: heard.append(out))  # the twelfth
    extractor = transformers.Wav2Vec2FeatureExtractor.from_pretrained(mert)
    with torch.inference_mode():
        model(**extractor(audio.mean(axis=1), sampling_rate=24_000, return_tensors="pt"))
    state = heard[0][0] if isinstance(heard[0], tuple) else heard[0]
    assert found == pytest.approx(state.reshape(-1, 32).mean(dim=0).tolist(), abs=1e-4)


def test_a_song_is_the_mean_of_its_segments_by_their_length(mert: Path) -> None:
    values = Mert(str(mert), device="cpu", batch="2").annotate(song(35), 24_000)
    segments = values["segments"].value
    assert [(s.start_s, s.end_s) for s in segments] == [(0, 10), (10, 20), (20, 30), (30, 35)]
    whole = np.average([s.embedding for s in segments], axis=0, weights=[2, 2, 2, 1])
    assert values["embedding"].value == pytest.approx(whole.tolist(), abs=1e-6)


def test_segments_of_one_length_are_heard_in_batches_which_change_nothing(mert: Path) -> None:
    told, sizes = {}, {}
    for batch in ("1", "3", "8"):
        backend = Mert(str(mert), device="cpu", batch=batch)
        _, model = backend._loaded
        heard: list[int] = []

        def note(module: Any, given: Any, named: Any, heard: list[int] = heard) -> None:
            heard.append(len(named["input_values"]))

        model.register_forward_pre_hook(note, with_kwargs=True)
        told[batch], sizes[batch] = backend.annotate(song(45), 24_000)["embedding"].value, heard
    assert sizes == {"1": [1] * 5, "3": [3, 1, 1], "8": [4, 1]}  # four of 10 s, and the last of 5 s
    assert told["1"] == pytest.approx(told["3"], abs=1e-4)
    assert told["1"] == pytest.approx(told["8"], abs=1e-4)


def test_a_graphics_card_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert device_of("auto") == device
        assert device_of("cuda:1") == "cuda:1"


def test_a_model_goes_to_the_device_that_is_asked_for(mert: Path, w2v_bert: Path) -> None:
    for backend in (Mert(str(mert), device="meta"), W2vBert(str(w2v_bert), device="meta")):
        assert {parameter.device.type for parameter in backend._loaded[1].parameters()} == {"meta"}


def test_a_hub_id_is_read_from_the_cache_without_network_and_recorded_with_its_commit(
    mert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    kept = tmp_path / "models--me--tiny"
    shutil.copytree(mert, kept / "snapshots" / commit)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket.socket, "connect", lambda *given: pytest.fail("the network was asked"))
    backend = Mert("me/tiny", device="cpu")
    assert backend.version.startswith(f"1+layer-12+me/tiny@{commit}+transformers-")
    folder = Mert(str(mert), device="cpu").annotate(song(10), 24_000)["embedding"].value
    assert backend.annotate(song(10), 24_000)["embedding"].value == pytest.approx(folder)
    assert model_version("me/unfetched").startswith("me/unfetched@main+")
    assert model_version("no id at all").startswith("no id at all@main+")


def test_weights_that_do_not_fit_are_refused_instead_of_being_random(mert: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "mert"
    copy.mkdir()
    for path in mert.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    weights = load_file(copy / "model.safetensors")
    del weights["encoder.layers.3.attention.k_proj.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(DatasetError, match="would be random"):
        Mert(str(copy), device="cpu").annotate(song(10), 24_000)


@pytest.mark.parametrize("option", ["deepnorm", "feature_extractor_cqt"])
def test_a_mert_that_is_no_plain_hubert_is_refused(mert: Path, tmp_path: Path, option: str) -> None:
    described = json.loads((mert / "config.json").read_text()) | {option: True}
    (tmp_path / "config.json").write_text(json.dumps(described))
    with pytest.raises(DatasetError, match=option):
        Mert(str(tmp_path)).annotate(song(1), 24_000)


def test_options_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="layer must be a number, 0 or more, got last"):
        Mert(layer="last")
    with pytest.raises(UsageError, match="batch must be a number of 1 or more, got 0"):
        W2vBert(batch="0")


def test_a_layer_that_is_not_there_is_named(mert: Path) -> None:
    with pytest.raises(DatasetError, match=r"no such layer, got 15 .*0 to 14"):
        Mert(str(mert), layer="15").annotate(song(1), 24_000)


def test_w2v_bert_gives_its_last_layer_per_segment(w2v_bert: Path) -> None:
    backend = W2vBert(str(w2v_bert), device="cpu")
    values = backend.annotate(song(20, 16_000), 16_000)
    assert len(values["embedding"].value) == 32
    assert len(values["segments"].value) == 2
    model = transformers.Wav2Vec2BertModel.from_pretrained(w2v_bert).eval()
    extractor = transformers.SeamlessM4TFeatureExtractor.from_pretrained(w2v_bert)
    given = extractor(song(20, 16_000).mean(axis=1)[:160_000], sampling_rate=16_000, return_tensors="pt")
    with torch.inference_mode():
        expected = model(**given).last_hidden_state[0].mean(dim=0)
    assert values["segments"].value[0].embedding == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_version_changes_with_the_weights(mert: Path, tmp_path: Path) -> None:
    before = Mert(str(mert)).version
    assert before.startswith("1+layer-12+mert-")
    assert Mert(str(mert), layer="3").version != before
    (tmp_path / "mert").mkdir()
    for path in mert.iterdir():
        (tmp_path / "mert" / path.name).write_bytes(path.read_bytes())
    assert model_version(str(tmp_path / "mert")) == model_version(str(mert))
    weights = tmp_path / "mert" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert model_version(str(tmp_path / "mert")) != model_version(str(mert))
    assert model_version("me/model", "abc").startswith("me/model@abc+transformers-")


def test_a_model_that_is_not_in_the_cache_is_named_without_asking_the_network(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match="there is no such model, got nobody/nothing"):
        model_folder("nobody/nothing")


WORDS = ["<pad>", "<eos>", "<unk>", "<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "user", "assistant", "rock", "bass"]
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for part in m['content'] %}{% if part['type'] == 'audio' %}<|audio_bos|><|AUDIO|><|audio_eos|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %} {% endfor %}assistant"
)


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>"}
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **special)
    fast.add_special_tokens({"additional_special_tokens": WORDS[3:6]})
    fast.chat_template = TEMPLATE
    return fast


@pytest.fixture(scope="module")
def qwen2_audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "qwen2-audio"
    text: dict[str, Any] = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"num_key_value_heads": 2, "intermediate_size": 64, "model_type": "qwen2"}
    ears: dict[str, Any] = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64}
    ears |= {"num_mel_bins": 128, "model_type": "qwen2_audio_encoder"}
    torch.manual_seed(0)
    config = transformers.Qwen2AudioConfig(audio_config=ears, text_config=text, audio_token_index=3)
    model = transformers.Qwen2AudioForConditionalGeneration(config)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 1, 0
    model.save_pretrained(folder)
    extractor = transformers.WhisperFeatureExtractor(feature_size=128)
    transformers.Qwen2AudioProcessor(extractor, tokenizer(), chat_template=TEMPLATE).save_pretrained(folder)
    return folder


def test_qwen2_audio_hears_every_segment_and_says_the_same_in_any_batch(
    qwen2_audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buscomp.annotation.transformers_captions.MAX_TOKENS", 30)
    sounds = [song(seconds, 16_000).mean(axis=1) for seconds in (10, 10, 6)]
    told = LocalListener(str(qwen2_audio), "cpu", 2).describe(sounds, "what is it")
    assert len(told) == 3
    assert told[0] == told[1]
    assert all(len(text.split()) <= 30 and "assistant user" not in text for text in told)
    assert LocalListener(str(qwen2_audio), "cpu", 1).describe(sounds, "what is it") == told


def test_llama_answers_a_chat_with_new_words_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buscomp.annotation.organise.MAX_TOKENS", 30)
    sizes = {"vocab_size": len(WORDS), "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, intermediate_size=64, eos_token_id=1))
    model.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    writer = LocalWriter(str(tmp_path), "cpu")
    messages = [{"role": "user", "content": "rock bass"}]
    told = writer.write(messages, {})
    assert told == writer.write(messages, {})
    assert set(told.split()) <= set(WORDS)
    assert writer.model.startswith(tmp_path.name)


def test_both_models_caption_and_organise_a_song_on_this_machine(
    qwen2_audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener is real; what a writer with random weights says can never be used, so its words are put in."""
    monkeypatch.setattr("buscomp.annotation.transformers_captions.MAX_TOKENS", 5)
    asked: list[Any] = []

    def write(self: LocalWriter, messages: list[Any], schema: Any) -> str:
        asked.append(messages)
        return json.dumps({"genres": [{"label": "rock", "segments": [1, 3]}], "instruments": []})

    monkeypatch.setattr(LocalWriter, "write", write)
    options = {"organiser_model": str(tmp_path), "device": "cpu", "batch": "2", "cache": str(tmp_path / "answers")}
    pipeline = from_transformers(str(qwen2_audio), **options)
    assert pipeline.name == f"{qwen2_audio.name}+{tmp_path.name}".lower()
    values = pipeline.annotate(song(26, 16_000), 16_000)
    assert [(s.start_s, s.end_s) for s in values["segments"].value] == [(0, 10), (10, 20), (20, 26)]
    assert values["genres"].value == ["rock"]
    assert values["genres"].confidence == pytest.approx(2 / 3)
    monkeypatch.setattr(LocalListener, "describe", lambda *given: pytest.fail("heard twice"))
    assert from_transformers(str(qwen2_audio), **options).annotate(song(26, 16_000), 16_000) == values
    assert len(asked) == 1
