"""Keras files become ONNX: tiny networks of random weights with the layers of the published ones, run by torch too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from buscomp.annotation import keycnn, tempocnn
from buscomp.annotation.converted import Network, at_most_one, convert, standardised, windows
from buscomp.annotation.key_names import KEYS, spelled
from buscomp.manifests.errors import DatasetError, UsageError

h5py = pytest.importorskip("h5py", reason="converting is an extra: pip install 'buscomp[convert]'")
pytest.importorskip("onnx", reason="converting is an extra: pip install 'buscomp[convert]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install 'buscomp[annotate]'")
torch = pytest.importorskip("torch", reason="torch is the second opinion")

pytestmark = pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel lengths:UserWarning")
RANDOM = np.random.default_rng(5)


class Keras:
    """A network being written down as Keras does, and the same in torch on channels-first tensors."""

    def __init__(self, bands: int, columns: int):
        self.layers: list[dict[str, Any]] = []
        self.weights: dict[str, dict[str, np.ndarray]] = {}
        self.add("InputLayer", [], batch_input_shape=[None, bands, columns, 1])

    def add(self, kind: str, inputs: list[str], weights: dict[str, np.ndarray] | None = None, **settings: Any) -> str:
        name = f"{kind.lower()}_{len(self.layers)}"
        nodes = [[[each, 0, 0, {}] for each in inputs]] if inputs else []
        self.layers.append({"class_name": kind, "config": {"name": name, **settings}, "inbound_nodes": nodes})
        self.weights[name] = {f"{name}_9/{key}:0": value for key, value in (weights or {}).items()}
        return name

    def conv(self, heard: str, shape: tuple[int, ...], activation: str, dilation: int = 1, bias: bool = True) -> str:
        weights = {"kernel": 0.3 * RANDOM.standard_normal(shape).astype(np.float32)}
        weights |= {"bias": RANDOM.standard_normal(shape[-1]).astype(np.float32)} if bias else {}
        settings = {"strides": [1, 1], "padding": "same", "dilation_rate": [1, dilation]}
        return self.add("Conv2D", [heard], weights, activation=activation, **settings)

    def norm(self, heard: str, channels: int, axis: int) -> str:
        values = 0.5 + RANDOM.random((4, channels)).astype(np.float32)
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        weights = dict(zip(names, values, strict=True))
        return self.add("BatchNormalization", [heard], weights, axis=[axis], epsilon=0.001)

    def pool(self, kind: str, heard: str, size: list[int]) -> str:
        return self.add(kind, [heard], pool_size=size, strides=size, padding="valid")

    def save(self, path: Path) -> Path:
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": {"layers": self.layers}})
            group = file.create_group("model_weights")
            for name, weights in self.weights.items():
                own = group.create_group(name)
                own.attrs["weight_names"] = [key.encode() for key in weights]
                for key, value in weights.items():
                    own[key] = value
        return path

    def torch(self, given: np.ndarray) -> np.ndarray:
        """What torch makes of `given` (windows, rows, columns, 1)."""
        known: dict[str, Any] = {}
        for layer in self.layers:
            kind, settings = layer["class_name"], layer["config"]
            own = {key.split("/")[1][:-2]: torch.from_numpy(v) for key, v in self.weights[settings["name"]].items()}
            heard = [known[link[0]] for link in (layer["inbound_nodes"] or [[]])[0]]
            known[settings["name"]] = activated(settings, by_torch(kind, settings, own, heard, given))
        last = known[self.layers[-1]["config"]["name"]]
        return np.asarray(last.numpy())


def by_torch(kind: str, settings: dict[str, Any], own: dict[str, Any], heard: list[Any], given: np.ndarray) -> Any:
    functional = torch.nn.functional
    if kind == "InputLayer":
        return torch.from_numpy(given).permute(0, 3, 1, 2)
    if kind == "Conv2D":
        kernel = own["kernel"].permute(3, 2, 0, 1)
        return functional.conv2d(heard[0], kernel, own.get("bias"), padding="same", dilation=settings["dilation_rate"])
    if kind == "BatchNormalization":
        values = [own[name] for name in ("moving_mean", "moving_variance", "gamma", "beta")]
        return functional.batch_norm(heard[0], *values, eps=0.001)
    if kind == "Concatenate":
        return torch.cat(heard, 1)
    if kind == "AveragePooling2D":
        return functional.avg_pool2d(heard[0], settings["pool_size"])
    if kind == "MaxPooling2D":
        return functional.max_pool2d(heard[0], settings["pool_size"])
    if kind == "GlobalAveragePooling2D":
        return heard[0].mean(dim=(2, 3))
    if kind == "Flatten":
        return heard[0].permute(0, 2, 3, 1).flatten(1)
    if kind == "Dense":
        return heard[0] @ own["kernel"] + own["bias"]
    assert kind in ("Dropout", "Activation"), kind
    return heard[0]


def activated(settings: dict[str, Any], value: Any) -> Any:
    known = {"linear": lambda x: x, "relu": torch.relu, "elu": torch.nn.functional.elu}
    return {**known, "softmax": lambda x: torch.softmax(x, 1)}[settings.get("activation", "linear")](value)


def directional(bands: int, classes: int, across: bool) -> Keras:
    """Like deeptemp and deepspec: convolutions along one direction, maxima, a global average."""
    made = Keras(bands, 60 if across else 256)
    size = (5, 1) if across else (1, 5)
    heard = made.norm(made.conv("inputlayer_0", (*size, 1, 3), "relu"), 3, 3)
    heard = made.add("Dropout", [made.pool("MaxPooling2D", heard, [2, 2])], rate=0.1)
    heard = made.conv(heard, (4, 2, 3, classes), "relu")  # even sizes: where the odd zero goes matters
    made.add("Activation", [made.add("GlobalAveragePooling2D", [heard])], activation="softmax")
    return made


def dense(classes: int = 256) -> Keras:
    """Like ismir2018: several filters side by side, then dense layers. With a dilated one, as in fcn."""
    made = Keras(40, 256)
    first = made.norm("inputlayer_0", 1, 3)
    averaged = made.pool("AveragePooling2D", first, [5, 8])
    side = [made.conv(averaged, (1, width, 1, 2), "elu", dilation) for width, dilation in ((3, 1), (6, 1), (5, 2))]
    heard = made.conv(made.add("Concatenate", side, axis=-1), (1, 1, 6, 2), "elu", bias=False)
    heard = made.add("Flatten", [heard])
    for units, activation in ((7, "elu"), (classes, "softmax")):
        before = 8 * 32 * 2 if units == 7 else 7
        weights = {"kernel": 0.1 * RANDOM.standard_normal((before, units)).astype(np.float32)}
        weights |= {"bias": RANDOM.standard_normal(units).astype(np.float32)}
        heard = made.add("Dense", [heard], weights, activation=activation)
        heard = made.norm(heard, 7, 1) if units == 7 else heard
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BUSCOMP_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "make", "kind"),
    [
        ("deeptemp_k2", lambda: directional(40, 256, False), "tempocnn"),
        ("fcn", dense, "tempocnn"),
        ("deepspec_k2", lambda: directional(168, 24, True), "keycnn"),
    ],
)
def test_onnxruntime_gives_what_torch_gives_to_1e_5(folder: Path, name: str, make: Any, kind: str) -> None:
    network = make()
    (done,) = convert(network.save(folder / f"{name}.h5"))
    assert done.path == folder / "weights" / f"{kind}-{name}.onnx"
    rows, columns = (40, 256) if kind == "tempocnn" else (168, 60)
    given = RANDOM.standard_normal((3, rows, columns, 1)).astype(np.float32)
    (found,) = Network(kind, name).session.run(["output"], {"input": given})
    assert found.shape == (3, 256 if kind == "tempocnn" else 24)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert np.abs(found - network.torch(given)).max() < 1e-5


def test_a_folder_gives_what_fits_and_says_why_the_rest_does_not(folder: Path) -> None:
    inside = folder / "package" / "models"
    inside.mkdir(parents=True)
    directional(40, 256, False).save(inside / "deeptemp_k1.h5")
    directional(80, 24, True).save(inside / "other.h5")
    directional(40, 256, False).save(inside / "fma2018.h5")
    strange = directional(40, 256, False)
    strange.layers[1]["class_name"] = "Lambda"
    strange.save(inside / "strange.h5")
    (inside / "broken.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    found = {each.source.name: each for each in convert(folder / "package")}
    assert found["deeptemp_k1.h5"].path == folder / "weights" / "tempocnn-deeptemp_k1.onnx"
    assert "hears other features, got 80 bands" in found["other.h5"].reason
    assert "logarithmic scale" in found["fma2018.h5"].reason
    assert "got Lambda" in found["strange.h5"].reason
    assert "cannot be read as a Keras network" in found["broken.h5"].reason
    assert [path.name for path in (folder / "weights").iterdir()] == ["tempocnn-deeptemp_k1.onnx"]


def test_the_licence_and_the_source_stand_in_the_file(folder: Path) -> None:
    list(convert(directional(168, 24, True).save(folder / "deepspec_k1.h5")))
    told = Network("keycnn", "deepspec_k1").session.get_modelmeta().custom_metadata_map
    assert told["license"].startswith("AGPL-3.0")
    assert len(told["source_sha256"]) == 64
    assert told["normalisation"] == "standard"


def test_nothing_to_convert_and_missing_weights_say_what_to_do(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"no \.h5 file to convert"):
        list(convert(folder))
    with pytest.raises(UsageError, match="no tempocnn weights, got fcn; convert your own once"):
        tempocnn.TempoCnn().annotate(np.ones((44_100, 1), np.float32), 44_100)


def test_a_network_of_the_other_kind_or_no_network_is_refused(folder: Path) -> None:
    (done,) = convert(directional(168, 24, True).save(folder / "deepspec_k1.h5"))
    with pytest.raises(DatasetError, match="is no tempocnn network"):
        _ = Network("tempocnn", str(done.path)).session
    (folder / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(DatasetError, match=r"x\.onnx cannot be read"):
        _ = Network("tempocnn", str(folder / "x.onnx")).session


def test_backends_answer_with_a_tempo_and_a_key_of_their_ranges_and_silence_with_none(folder: Path) -> None:
    list(convert(dense().save(folder / "fcn.h5")))
    list(convert(directional(168, 24, True).save(folder / "deepspec_k16.h5")))
    noise = 0.1 * np.random.default_rng(0).standard_normal((44_100 * 2, 2)).astype(np.float32)
    tempo, key = tempocnn.TempoCnn(), keycnn.KeyCnn()
    found = tempo.annotate(noise, 44_100)["tempo_bpm"]
    assert 30 <= found.value <= 285
    assert (tempo.name, key.name) == ("tempocnn-fcn", "keycnn-deepspec_k16")
    assert len(key.annotate(noise, 44_100)["key"].candidates) == 24
    assert tempo.annotate(0 * noise, 44_100)["tempo_bpm"].value is None
    assert key.annotate(0 * noise, 44_100)["key"].value is None
    assert tempo.version.startswith("1+weights-")


def test_a_parabola_finds_the_tempo_between_two_classes() -> None:
    probabilities = np.zeros(256, np.float32)
    probabilities[89:92] = 0.2, 0.4, 0.3  # 119, 120, 121 BPM
    value = tempocnn.tempo_of(probabilities)
    assert value.value == pytest.approx(120 + 1 / 6)
    assert value.confidence == pytest.approx(0.9)
    assert [round(tempo) for tempo, _ in value.candidates] == [120, 60, 240]


@pytest.mark.parametrize(("place", "name"), [(0, "C major"), (10, "Bb major"), (12, "C minor"), (23, "B minor")])
def test_keys_are_counted_from_c_major_then_c_minor(place: int, name: str) -> None:
    assert keycnn.key_of(np.eye(24, dtype=np.float32)[place]).value == name


def test_windows_overlap_by_half_and_a_short_song_is_filled_up() -> None:
    features = np.arange(20, dtype=np.float32)[None]
    assert windows(features, 8)[:, 0, 0].tolist() == [0, 4, 8, 12]
    assert windows(features[:, :3], 8).tolist() == [[[0, 1, 2, 0, 0, 0, 0, 0]]]


def test_both_normalisations_leave_silence_alone() -> None:
    cut = np.array([[[1.0, 3.0]]], np.float32)
    assert standardised(cut).tolist() == [[[-1, 1]]]
    assert at_most_one(cut)[0, 0].tolist() == pytest.approx([1 / 3, 1])
    assert not standardised(0 * cut).any()
    assert not at_most_one(0 * cut).any()


def test_spellings_of_a_key_count_as_one() -> None:
    assert [spelled(key) for key in ("Db major", "G# minor", "F# major")] == ["C# major", "Ab minor", "F# major"]
    assert len(set(KEYS)) == 24
    with pytest.raises(ValueError, match="'H major' is no key"):
        spelled("H major")
