"""A Keras network in an `.h5` file as an ONNX graph: layer by layer, without TensorFlow.

Only the layers of the published tempo and key networks are known: convolutions, pooling, batch normalisation, ELU and
ReLU, concatenation, dense layers, global averages and softmax. Inside the graph channels stand before rows and
columns, as ONNX wants them; at its door they stand last, as Keras has them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..manifests.errors import DatasetError

OPSET, IR_VERSION = 15, 8
MAX_CONFIG_BYTES = 4 << 20
ACTIVATIONS = {"relu": "Relu", "elu": "Elu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softmax": "Softmax"}
FIXED_ALPHA = 1.0

Array = npt.NDArray[np.float32]
Json = dict[str, Any]


@dataclass(frozen=True)
class KerasLayer:
    """One layer of a network: its class, its settings, the layers it hears, its weights by their short name."""

    kind: str
    name: str
    settings: Json
    inputs: tuple[str, ...]
    weights: Mapping[str, Array]


def read_keras(path: Path) -> list[KerasLayer]:
    """The layers of the network in the `.h5` file at `path`, in the file's order. `DatasetError` if it holds none."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            description = file.attrs.get("model_config")
            if description is None or len(description) > MAX_CONFIG_BYTES:
                raise DatasetError(f"{path.name} holds no Keras network", mend="name the .h5 files of a package")
            layers = json.loads(description)["config"]["layers"]
            weights = file.get("model_weights", file)
            return [_layer(layer, weights) for layer in layers]
    except (OSError, KeyError, TypeError, ValueError, IndexError) as error:
        raise DatasetError(f"{path.name} cannot be read as a Keras network ({error})") from error


def _layer(described: Json, weights: Any) -> KerasLayer:
    name = described["config"]["name"]
    nodes = described.get("inbound_nodes") or [[]]
    if len(nodes) != 1:
        raise ValueError(f"layer {name} is used {len(nodes)} times")
    group = weights.get(name)
    names = [] if group is None else [_text(each) for each in group.attrs["weight_names"]]
    return KerasLayer(
        described["class_name"],
        name,
        described["config"],
        tuple(link[0] for link in nodes[0]),
        {each.rpartition("/")[2].partition(":")[0]: np.asarray(group[each], np.float32) for each in names},
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def input_shape(layers: list[KerasLayer]) -> tuple[int | None, ...]:
    """Rows, columns and channels that the network wants; None where any number will do."""
    settings = layers[0].settings
    shape = settings.get("batch_input_shape") or settings.get("batch_shape") or [None]
    return tuple(shape[1:])


def to_onnx(layers: list[KerasLayer], rows: int, columns: int, notes: Mapping[str, str]) -> bytes:
    """The network as ONNX: `input` (windows, rows, columns, 1) -> `output` (windows, classes). `notes` go into the
    file's metadata. `DatasetError` for a layer that is not known."""
    import onnx
    from onnx import TensorProto, helper

    graph = _Graph()
    graph.shapes["input"] = (rows, columns, 1)
    for layer in layers:
        if layer.kind not in LAYERS:
            raise DatasetError("the network has a layer of a kind that is not known", got=layer.kind, allowed=LAYERS)
        LAYERS[layer.kind](graph, layer)
    last = graph.heard[layers[-1].name]
    classes = graph.shapes[last][0]
    graph.node("Identity", last, output="output")
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "network",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["windows", rows, columns, 1])],
            [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["windows", classes])],
            [onnx.numpy_helper.from_array(value, name) for name, value in graph.weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="buscomp",
    )
    helper.set_model_props(made, dict(notes))
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


@dataclass
class _Graph:
    """What was written so far. `heard`: the tensor that a Keras layer became; `shapes`: of a tensor without its
    windows, rows and columns first (rows, columns, channels) or flat (units,)."""

    nodes: list[Any] = field(default_factory=list)
    weights: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    heard: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def node(self, kind: str, *inputs: str, output: str | None = None, **settings: Any) -> str:
        from onnx import helper

        name = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **settings))
        return name

    def weight(self, value: npt.NDArray[Any]) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = np.ascontiguousarray(value)
        return name

    def done(self, layer: KerasLayer, tensor: str, shape: tuple[int, ...]) -> None:
        """`layer` has become `tensor`, after the activation that its settings name."""
        wanted = layer.settings.get("activation", "linear")
        if wanted != "linear":
            if wanted not in ACTIVATIONS:
                raise DatasetError("the network has an activation that is not known", got=wanted, allowed=ACTIVATIONS)
            settings: Json = {"axis": 1} if wanted == "softmax" else {}
            tensor = self.node(ACTIVATIONS[wanted], tensor, **settings)
        self.heard[layer.name], self.shapes[tensor] = tensor, shape

    def into(self, layer: KerasLayer) -> tuple[str, tuple[int, ...]]:
        """What `layer` hears."""
        tensor = self.heard[layer.inputs[0]]
        return tensor, self.shapes[tensor]


def _input(graph: _Graph, layer: KerasLayer) -> None:
    graph.done(layer, graph.node("Transpose", "input", perm=[0, 3, 1, 2]), graph.shapes["input"])


def _convolution(graph: _Graph, layer: KerasLayer) -> None:
    tensor, (rows, columns, _) = graph.into(layer)
    kernel = layer.weights["kernel"]  # (height, width, in, out)
    height, width, _, filters = kernel.shape
    _only(layer, strides=[1, 1], groups=1)
    dilation = list(layer.settings.get("dilation_rate", [1, 1]))
    spans = ((height - 1) * dilation[0], (width - 1) * dilation[1])
    same = layer.settings["padding"] == "same"
    before = [span // 2 if same else 0 for span in spans]
    after = [span - span // 2 if same else 0 for span in spans]
    weights = [graph.weight(kernel.transpose(3, 2, 0, 1))]
    weights += [graph.weight(layer.weights["bias"])] if "bias" in layer.weights else []
    heard = graph.node(
        "Conv", tensor, *weights, kernel_shape=[height, width], dilations=dilation, pads=[*before, *after]
    )
    lost = (0, 0) if same else spans
    graph.done(layer, heard, (rows - lost[0], columns - lost[1], filters))


def _pooling(kind: str) -> Callable[[_Graph, KerasLayer], None]:
    def pool(graph: _Graph, layer: KerasLayer) -> None:
        tensor, (rows, columns, channels) = graph.into(layer)
        _only(layer, padding="valid")
        size, step = layer.settings["pool_size"], layer.settings["strides"]
        heard = graph.node(kind, tensor, kernel_shape=size, strides=step)
        graph.done(layer, heard, ((rows - size[0]) // step[0] + 1, (columns - size[1]) // step[1] + 1, channels))

    return pool


def _normalisation(graph: _Graph, layer: KerasLayer) -> None:
    tensor, shape = graph.into(layer)
    axis = layer.settings["axis"]
    if (axis[0] if isinstance(axis, list) else axis) not in (-1, len(shape)):
        raise DatasetError(f"layer {layer.name} normalises another axis than that of the channels", got=axis)
    mean, variance = layer.weights["moving_mean"], layer.weights["moving_variance"]
    gamma, beta = layer.weights.get("gamma", np.ones_like(mean)), layer.weights.get("beta", np.zeros_like(mean))
    names = [graph.weight(value) for value in (gamma, beta, mean, variance)]
    graph.done(layer, graph.node("BatchNormalization", tensor, *names, epsilon=layer.settings["epsilon"]), shape)


def _concatenation(graph: _Graph, layer: KerasLayer) -> None:
    tensors = [graph.heard[name] for name in layer.inputs]
    shapes = [graph.shapes[tensor] for tensor in tensors]
    if layer.settings["axis"] not in (-1, len(shapes[0])):
        raise DatasetError(f"layer {layer.name} joins another axis than that of the channels")
    channels = sum(shape[-1] for shape in shapes)
    graph.done(layer, graph.node("Concat", *tensors, axis=1), (*shapes[0][:-1], channels))


def _global_average(graph: _Graph, layer: KerasLayer) -> None:
    tensor, shape = graph.into(layer)
    graph.done(layer, graph.node("Flatten", graph.node("GlobalAveragePool", tensor)), (shape[-1],))


def _flat(graph: _Graph, layer: KerasLayer) -> None:
    tensor, shape = graph.into(layer)
    if len(shape) == 3:  # Keras counts channels fastest
        tensor = graph.node("Transpose", tensor, perm=[0, 2, 3, 1])
    graph.done(layer, graph.node("Flatten", tensor), (int(np.prod(shape)),))


def _dense(graph: _Graph, layer: KerasLayer) -> None:
    tensor, (units,) = graph.into(layer)
    kernel = layer.weights["kernel"]
    if len(kernel) != units:
        raise DatasetError(f"layer {layer.name} wants {len(kernel)} values", got=units)
    bias = layer.weights.get("bias", np.zeros(kernel.shape[1], np.float32))
    heard = graph.node("Gemm", tensor, graph.weight(kernel), graph.weight(bias))
    graph.done(layer, heard, (kernel.shape[1],))


def _passed_on(graph: _Graph, layer: KerasLayer) -> None:
    """Dropout, which does nothing after training, and an activation on its own, which `done` adds."""
    graph.done(layer, *graph.into(layer))


def _elu(graph: _Graph, layer: KerasLayer) -> None:
    tensor, shape = graph.into(layer)
    graph.done(layer, graph.node("Elu", tensor, alpha=float(layer.settings.get("alpha", FIXED_ALPHA))), shape)


def _only(layer: KerasLayer, **settings: Any) -> None:
    """`DatasetError` unless a layer has these settings, where it has them at all."""
    for name, value in settings.items():
        got = layer.settings.get(name, value)
        if got != value and list(np.atleast_1d(got)) != list(np.atleast_1d(value)):
            raise DatasetError(f"layer {layer.name} has a {name} that is not known", got=got, allowed=str(value))


LAYERS: dict[str, Callable[[_Graph, KerasLayer], None]] = {
    "InputLayer": _input,
    "Conv2D": _convolution,
    "AveragePooling2D": _pooling("AveragePool"),
    "MaxPooling2D": _pooling("MaxPool"),
    "BatchNormalization": _normalisation,
    "Concatenate": _concatenation,
    "GlobalAveragePooling2D": _global_average,
    "Flatten": _flat,
    "Dense": _dense,
    "Dropout": _passed_on,
    "SpatialDropout2D": _passed_on,
    "Activation": _passed_on,
    "ELU": _elu,
}
