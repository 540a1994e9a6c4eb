"""The script that made musicnn-msd.onnx and musicnn-mtt.onnx of the checkpoints in the Python package musicnn 0.1.0.

    pip download musicnn==0.1.0 --no-deps && unzip musicnn-0.1.0-py3-none-any.whl
    pip install onnx
    python -m buscomp.annotation.musicnn_convert musicnn annotation

No TensorFlow is needed: its checkpoints are plain float32 arrays behind a small table (`read_checkpoint`), and the
network is written down in ONNX operators one by one (`network`), as J. Pons and X. Serra describe it (musicnn:
pre-trained convolutional neural networks for music audio tagging, 2019).
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..manifests.errors import DatasetError

if TYPE_CHECKING:
    import onnx

Float32 = npt.NDArray[np.float32]
Weights = dict[str, Float32]
FRAMES, BANDS = 187, 96
NAMES = {"MSD_musicnn": "musicnn-msd.onnx", "MTT_musicnn": "musicnn-mtt.onnx"}
OPSET, IR_VERSION = 15, 8  # what onnxruntime 1.17 reads
TABLE_MAGIC = 0xDB4775248B80FB57
BATCH_NORM_EPSILON = 1e-3  # the default of the layer with which the network was trained


def convert(checkpoint: Path, path: Path) -> None:
    """Write the network whose TensorFlow checkpoint lies in the folder `checkpoint` as ONNX to `path`."""
    import onnx

    model = network(read_checkpoint(checkpoint))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


# the checkpoint


def read_checkpoint(folder: Path) -> Weights:
    """Every float32 variable of a TensorFlow checkpoint of one shard, by name; `DatasetError` for anything else.

    `.index` is a table of LevelDB's form: name -> a protocol buffer that holds type (1), shape (2), offset (4) and
    size (5) of the variable in `.data-00000-of-00001`.
    """
    index, data = (folder / ".index").read_bytes(), (folder / ".data-00000-of-00001").read_bytes()
    if struct.unpack("<Q", index[-8:])[0] != TABLE_MAGIC:
        raise DatasetError(f"{folder} holds no TensorFlow checkpoint")
    place, _ = _varints(index[-48:], 4)  # of the meta index and of the index of blocks: offset and size each
    weights = {}
    for _, handle in _entries(index, *place[2:]):
        for name, entry in _entries(index, *_varints(handle, 2)[0]):
            if not name:
                continue  # the header
            fields = dict(_message(entry))
            if fields.get(1) != 1:
                raise DatasetError(f"{name.decode()} is not float32", got=f"type {fields.get(1)}")
            shape = [dict(_message(size)).get(1, 0) for number, size in _message(fields.get(2, b"")) if number == 2]
            begin, size = fields.get(4, 0), fields[5]
            weights[name.decode()] = np.frombuffer(data[begin : begin + size], "<f4").reshape(shape)
    return weights


def _varints(data: bytes, count: int, at: int = 0) -> tuple[list[int], int]:
    """`count` numbers of seven bits a byte, and where they end."""
    numbers = []
    for _ in range(count):
        number = shift = 0
        while True:
            byte = data[at]
            number |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                break
        numbers.append(number)
    return numbers, at


def _entries(table: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block. Each key repeats the beginning of the one before."""
    if table[offset + size] != 0:
        raise DatasetError("the checkpoint's index is compressed", mend="take the one of musicnn 0.1.0")
    block = table[offset : offset + size]
    restarts = struct.unpack("<I", block[-4:])[0]
    at, key = 0, b""
    while at < size - 4 * (restarts + 1):
        (shared, unshared, length), at = _varints(block, 3, at)
        key = key[:shared] + block[at : at + unshared]
        at += unshared
        yield key, block[at : at + length]
        at += length


def _message(data: bytes) -> Iterator[tuple[int, Any]]:
    """Fields of a protocol buffer: number, and an integer or bytes."""
    at = 0
    while at < len(data):
        (tag,), at = _varints(data, 1, at)
        kind = tag & 7
        if kind == 0:
            (value,), at = _varints(data, 1, at)
            yield tag >> 3, value
        elif kind == 2:
            (length,), at = _varints(data, 1, at)
            yield tag >> 3, data[at : at + length]
            at += length
        elif kind == 5:  # the checksum of a variable
            yield tag >> 3, data[at : at + 4]
            at += 4
        else:
            raise DatasetError("a checkpoint of another form", got=f"wire type {kind}")


# the network


class Layers:
    """Operators in the order in which they are applied, with the variables that they take in TensorFlow's order."""

    def __init__(self, weights: Weights):
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.taken = {"conv2d": 0, "batch_normalization": 0, "dense": 0}

    def apply(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The output's name."""
        from onnx import helper

        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, values: npt.NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"weights_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def variables(self, layer: str, *names: str) -> list[Float32]:
        """Of the next layer of this kind: conv2d, conv2d_1, ..."""
        place = self.taken[layer]
        self.taken[layer] += 1
        scope = f"{layer}_{place}" if place else layer
        return [self.weights[f"{scope}/{name}"] for name in names]

    def convolution(self, given: str, pads: list[int]) -> str:
        """Convolution (height is time, width is frequency), then what is above 0."""
        kernel, bias = self.variables("conv2d", "kernel", "bias")
        weights = self.constant(kernel.transpose(3, 2, 0, 1))
        return self.apply("Relu", self.apply("Conv", given, weights, self.constant(bias), pads=pads))

    def normalisation(self, given: str) -> str:
        """Batch normalisation over axis 1 with the means and variances of training."""
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        constants = [self.constant(values) for values in self.variables("batch_normalization", *names)]
        return self.apply("BatchNormalization", given, *constants, epsilon=BATCH_NORM_EPSILON)

    def dense(self, given: str) -> str:
        kernel, bias = self.variables("dense", "kernel", "bias")
        return self.apply("Gemm", given, self.constant(kernel), self.constant(bias))

    def reshaped(self, given: str, *shape: int) -> str:
        return self.apply("Reshape", given, self.constant(np.array(shape, np.int64)))


def network(weights: Weights) -> onnx.ModelProto:
    """musicnn: `patches` (n, 187, 96) log-mel -> `tags` (n, 50) after the sigmoid, and `mean_pool` (n, 753)."""
    from onnx import TensorProto, helper

    layers = Layers(weights)
    patches = layers.normalisation(layers.reshaped("patches", -1, 1, FRAMES, BANDS))
    # Front end: two shapes of timbre and three of rhythm, each at its strongest band. (n, 561, 187)
    pads = ([3, 0, 3, 0],) * 2 + ([63, 0, 64, 0], [31, 0, 32, 0], [15, 0, 16, 0])
    front = []
    for pad in pads:
        heard = layers.normalisation(layers.convolution(patches, pad))
        front.append(layers.apply("ReduceMax", heard, axes=[3], keepdims=0))
    every = [layers.apply("Concat", *front, axis=1)]
    # Middle: three convolutions over time, the later two added to what came before. (n, 64, 187) each
    across = layers.apply(
        "Unsqueeze", layers.apply("Transpose", every[0], perm=[0, 2, 1]), layers.constant(np.array([1]))
    )
    for place in range(3):
        heard = layers.normalisation(layers.convolution(across, [3, 0, 3, 0]))  # (n, 64, 187, 1)
        turned = layers.apply("Transpose", heard, perm=[0, 3, 2, 1])  # (n, 1, 187, 64)
        across = layers.apply("Add", turned, across) if place else turned
        every.append(layers.apply("Transpose", layers.reshaped(across, -1, FRAMES, 64), perm=[0, 2, 1]))
    features = layers.apply("Concat", *every, axis=1)  # (n, 753, 187)
    # Back end: strongest and mean over time, then two dense layers.
    mean_pool = layers.apply("ReduceMean", features, axes=[2], keepdims=0)
    strongest = layers.apply("ReduceMax", features, axes=[2], keepdims=1)
    last = layers.constant(np.array([2]))
    pooled = layers.apply("Concat", strongest, layers.apply("Unsqueeze", mean_pool, last), axis=2)
    flat = layers.normalisation(layers.apply("Flatten", pooled, axis=1))
    hidden = layers.normalisation(layers.apply("Relu", layers.dense(flat)))
    tags = layers.apply("Sigmoid", layers.dense(hidden))
    for name, output in (("mean_pool", mean_pool), ("tags", tags)):
        layers.nodes.append(helper.make_node("Identity", [output], [name]))
    graph = helper.make_graph(
        layers.nodes,
        "musicnn",
        [helper.make_tensor_value_info("patches", TensorProto.FLOAT, ["n", FRAMES, BANDS])],
        [
            helper.make_tensor_value_info("tags", TensorProto.FLOAT, ["n", 50]),
            helper.make_tensor_value_info("mean_pool", TensorProto.FLOAT, ["n", 753]),
        ],
        layers.constants,
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="buscomp",
        doc_string="musicnn, (c) Music Technology Group, Universitat Pompeu Fabra 2019; ISC, see musicnn-LICENSE.txt",
    )


if __name__ == "__main__":
    package, into = (Path(word) for word in sys.argv[1:])
    for name, file in NAMES.items():
        convert(package / name, into / file)
