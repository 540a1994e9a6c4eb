"""A trained model as an ONNX graph with its state as inputs and outputs.

    inputs    x (1, 1, frames), controls (1, controls), and every tensor of the state as `state.NAME`
    outputs   y (1, 1, frames), and the state after it as `next.NAME`

The number of frames is fixed. Complex numbers, which the operators lack, are written as pairs of real ones: S4D
becomes products with constant matrices, in pieces of 64 frames. Beside the graph lies `<name>.npz` with the state to
begin with.

The graph is built here and not traced: PyTorch's exporters refuse the custom gradients of our activations, or write
network's LSTM wrongly.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..manifests.errors import UsageError
from ..manifests.pcm import Float32
from ..manifests.storage import write_whole
from .blocks import BLOCK, BlockLstm
from .blocks import POSITION as BLOCK_POSITION
from .conditioning import Film, Tfilm, Ttfilm, Tvfilm
from .convolution import CausalConvolution, ConvolutionalModel
from .gcn import Gcn
from .lstm import Lstm
from .onnx_graph import Graph
from .s4 import S4
from .s4d import S4D
from .ssm import Ssm
from .state import State, StreamModel
from .streaming_layout import Array, array, bias
from .tcn import MicroTcn, Tcn

PIECE = 64  # frames that one matrix product of S4D covers
LONGEST = 4096  # frames
Modulate = Callable[[int, str], str]  # layer, features (F, frames) -> modulated


@torch.no_grad()
def export_onnx(
    model: StreamModel, path: Path, frames: int, controls: Float32, names: list[str], sample_rate: int
) -> None:
    """Write `path` and, beside it, the state to begin with at `controls` (controls,). `UsageError` for a model that has
    no form in ONNX's operators, and for `frames` that do not fit it."""
    if not 1 <= frames <= LONGEST:
        raise UsageError("an ONNX graph has a fixed buffer", got=frames, allowed=f"1 to {LONGEST} samples")
    if model.look_ahead_samples or not isinstance(model, S4 | Ssm | Tcn | MicroTcn | Gcn | Lstm):
        raise UsageError(
            f"{type(model).__name__} cannot be written as ONNX: its recurrence has no operator",
            allowed="S4, ssm, TCN, GCN and LSTM networks that do not look ahead",
        )
    state = model.eval().initial_state(torch.from_numpy(controls)[None])
    if BLOCK_POSITION in state and frames % BLOCK:
        raise UsageError(
            "time-varying conditioning needs whole blocks in ONNX", got=f"--buffer {frames}", allowed="128, 256, ..."
        )
    state.pop(BLOCK_POSITION, None)
    writer = _Writer(Graph(), frames, model.controls, state)
    writer.write(model)
    document = writer.graph.model({"sample_rate_hz": str(sample_rate), "controls": ",".join(names)})

    def write_graph(temporary: Path) -> None:
        temporary.write_bytes(document.SerializeToString())

    write_whole(path, write_graph)
    begin: Any = {f"state.{name}": value.numpy() for name, value in state.items()}

    def write_begin(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, **begin)

    write_whole(path.with_suffix(".npz"), write_begin)


class _Writer:
    """One model on its way into a graph. Features are (channels, frames) there."""

    def __init__(self, graph: Graph, frames: int, controls: int, state: State):
        self.graph, self.frames, self.controls_count = graph, frames, controls
        self.x = graph.reshape(graph.input("x", (1, 1, frames)), 1, frames)
        self.controls = graph.input("controls", (1, controls))
        self.state = {name: graph.input(f"state.{name}", value.shape) for name, value in state.items()}
        self._shapes = {name: tuple(value.shape) for name, value in state.items()}

    def write(self, model: StreamModel) -> None:
        if isinstance(model, S4 | Ssm):
            y = self._s4(model)
        elif isinstance(model, ConvolutionalModel):
            y = self._convolutional(model)
        else:
            assert isinstance(model, Lstm)
            y = self._lstm(model)
        self.graph.output(self.graph.reshape(y, 1, 1, self.frames), "y", (1, 1, self.frames))

    def next(self, name: str, value: str) -> None:
        """`value` is the state `name` after this call."""
        self.graph.output(self.graph.reshape(value, *self._shapes[name]), f"next.{name}", self._shapes[name])

    def _s4(self, model: S4 | Ssm) -> str:
        g = self.graph
        modulate = self._modulate(model.conditioner)
        h = g.linear(self.x, array(model.widen.weight), bias(model.widen))
        for i, (mix, s4d, scale) in enumerate(zip(model.mixes, model.s4ds, model.residual_scales, strict=True)):
            assert isinstance(s4d, S4D)
            inner = outer = None
            if isinstance(model, Ssm):
                inner, outer = (array(prelus[i].weight) for prelus in (model.inner_prelus, model.outer_prelus))
            u = self._activated(g.linear(h, array(mix.weight), bias(mix)), inner)
            z = self._activated(modulate(i, self._s4d(f"s4d.{i}", s4d, u)), outer)
            h = g.op("Add", z, g.op("Mul", h, g.constant(array(scale))))
        tanh: str = g.op("Tanh", g.linear(h, array(model.narrow.weight), bias(model.narrow)))
        return tanh

    def _activated(self, value: str, slopes: Array | None) -> str:
        """tanh, or PReLU where there are slopes."""
        g = self.graph
        activated: str = (
            g.op("Tanh", value) if slopes is None else g.op("PRelu", value, g.constant(slopes.reshape(-1, 1)))
        )
        return activated

    def _s4d(self, name: str, s4d: S4D, u: str) -> str:
        """The bank of state spaces over `u` (channels, frames), in real arithmetic."""
        g = self.graph
        channels, modes = s4d.C.shape[:2]
        flat = g.reshape(self.state[name], channels, 1, modes, 2)
        real, imaginary = (g.reshape(g.part(flat, k, k + 1, 3), channels, 1, modes) for k in (0, 1))
        outputs, constants = [], dict[int, list[str]]()
        for begin in range(0, self.frames, PIECE):
            piece = min(PIECE, self.frames - begin)
            if piece not in constants:
                constants[piece] = [g.constant(matrix) for matrix in s4d_matrices(s4d, piece)]
            toeplitz, *others = constants[piece]
            out_real, out_imaginary, in_real, in_imaginary, far_real, far_imaginary = others
            part = g.reshape(g.part(u, begin, begin + piece, 1), channels, 1, piece)
            of_state = g.op("Add", g.op("MatMul", real, out_real), g.op("MatMul", imaginary, out_imaginary))
            outputs.append(g.reshape(g.op("Add", g.op("MatMul", part, toeplitz), of_state), channels, piece))
            turned_real = g.op("Sub", g.op("Mul", far_real, real), g.op("Mul", far_imaginary, imaginary))
            turned_imaginary = g.op("Add", g.op("Mul", far_real, imaginary), g.op("Mul", far_imaginary, real))
            real = g.op("Add", turned_real, g.op("MatMul", part, in_real))
            imaginary = g.op("Add", turned_imaginary, g.op("MatMul", part, in_imaginary))
        pair = (g.reshape(value, channels, modes, 1) for value in (real, imaginary))
        self.next(name, g.joined(*pair, axis=2))
        return g.joined(*outputs, axis=1)

    def _convolutional(self, model: ConvolutionalModel) -> str:
        g, h, gates = self.graph, self.x, []
        modulate = self._modulate(model.conditioner)
        for i, convolution in enumerate(model.convolutions):
            assert isinstance(convolution, CausalConvolution)
            f = modulate(i, self._convolution(i, convolution, h))
            if isinstance(model, Gcn):
                left, right = g.op("Split", f, axis=0, outputs=2)
                z = g.op("Mul", g.op("Tanh", left), g.op("Sigmoid", right))
                gates.append(z)
                mix = model.mixes[i]
                h = g.op("Add", g.linear(z, array(mix.weight), bias(mix)), h)
            else:
                assert isinstance(model, Tcn | MicroTcn)
                slopes = array(model.prelus[i].weight) if isinstance(model, MicroTcn) else None
                scaled = g.op("Mul", h, g.constant(array(model.residual_scales[i])))
                h = g.op("Add", self._activated(f, slopes), scaled)
        last = g.joined(*gates, axis=0) if gates else h
        narrow = g.linear(last, array(model.narrow.weight), bias(model.narrow))
        return narrow if gates else str(g.op("Tanh", narrow))

    def _convolution(self, i: int, convolution: CausalConvolution, h: str) -> str:
        g, name = self.graph, f"context.{i}"
        inputs, past = self._shapes[name][1:]
        longer = g.joined(self.state[name], g.reshape(h, 1, inputs, self.frames), axis=2)
        self.next(name, g.part(longer, self.frames, self.frames + past, 2))
        biases = [] if convolution.bias is None else [g.constant(bias(convolution))]
        y = g.op(
            "Conv", longer, g.constant(array(convolution.weight)), *biases, dilations=[int(convolution.dilation[0])]
        )
        return g.reshape(y, convolution.out_channels, self.frames)

    def _lstm(self, model: Lstm) -> str:
        g, frames = self.graph, self.frames
        if model.conditioner is None:
            beside = g.op("Expand", self.controls, g.constant([frames, self.controls_count]))
        else:
            codes = self._codes("conditioner", model.conditioner, g.op("Abs", self.x), None)
            width = model.conditioner.hidden_size
            held = g.op("Expand", g.reshape(codes, -1, 1, width), g.constant([frames // BLOCK, BLOCK, width]))
            beside = g.reshape(held, frames, width)
        inputs = g.joined(g.turned(self.x, 1, 0), beside, axis=1)
        hidden = self._recurrent("lstm", model.lstm, inputs, frames)
        narrow = g.linear(g.turned(hidden, 1, 0), array(model.narrow.weight), bias(model.narrow))
        tanh: str = g.op("Tanh", narrow)
        return tanh

    def _recurrent(self, name: str, lstm: nn.LSTM, inputs: str, steps: int) -> str:
        """Outputs (steps, hidden) of an LSTM over `inputs` (steps, inputs); its state goes on."""
        g, size = self.graph, lstm.hidden_size

        def ordered(weights: Array) -> Array:  # torch: input, forget, cell, output; ONNX: input, output, forget, cell
            i, f, c, o = np.split(weights, 4)
            return np.concatenate([i, o, f, c])[None]

        weights = (ordered(array(of)) for of in (lstm.weight_ih_l0, lstm.weight_hh_l0))
        biases = np.concatenate([ordered(array(of)) for of in (lstm.bias_ih_l0, lstm.bias_hh_l0)], axis=1)
        memory = (g.reshape(self.state[f"{name}.{part}"], 1, 1, size) for part in ("hidden", "cell"))
        sequence = g.reshape(inputs, steps, 1, lstm.input_size)
        y, hidden, cell = g.op(
            "LSTM", sequence, *(g.constant(values) for values in (*weights, biases)), "", *memory,
            outputs=3, hidden_size=size,
        )  # fmt: skip
        self.next(f"{name}.hidden", hidden)
        self.next(f"{name}.cell", cell)
        return g.reshape(y, steps, size)

    def _codes(self, name: str, lstm: BlockLstm, values: str, reduce: nn.Linear | None) -> str:
        """Codes (blocks, hidden), each for the block behind the one in `values` (channels, frames) it is made of."""
        g, blocks = self.graph, self.frames // BLOCK
        channels = self._shapes[f"{name}.peak"][1]
        peaks = g.op("ReduceMax", g.reshape(values, channels, blocks, BLOCK), axes=[2], keepdims=0)
        peaks = g.joined(self.state[f"{name}.peak"], g.turned(peaks, 1, 0), axis=0)  # (blocks + 1, channels)
        self.next(f"{name}.peak", g.part(peaks, blocks, blocks + 1, 0))
        heard = g.part(peaks, 0, blocks, 0)
        if reduce is not None:
            heard = g.op("Gemm", heard, g.constant(array(reduce.weight)), g.constant(bias(reduce)), transB=1)
        controls = g.op("Expand", self.controls, g.constant([blocks, self.controls_count]))
        return self._recurrent(name, lstm, g.joined(heard, controls, axis=1), blocks)

    def _modulate(self, conditioner: Any) -> Modulate:
        g = self.graph
        parts: Any = conditioner  # its modules, by name
        if isinstance(conditioner, Film):
            code = self._perceptron(self.controls, list(parts.perceptron))

            def constant(layer: int, features: str) -> str:
                norm, of = parts.norms[layer], parts.maps[layer]
                scale = 1 / np.sqrt(array(norm.running_var) + norm.eps)
                weights, offsets = (np.split(values, 2) for values in (array(of.weight), bias(of)))
                gamma_w, gamma_b = scale[:, None] * weights[0], scale * offsets[0]  # the normalisation, folded into it
                mean = array(norm.running_mean)
                beta_w, beta_b = weights[1] - mean[:, None] * gamma_w, offsets[1] - mean * gamma_b
                column = g.turned(code, 1, 0)
                gamma, beta = g.linear(column, gamma_w, gamma_b), g.linear(column, beta_w, beta_b)
                modulated: str = g.op("Add", g.op("Mul", gamma, features), beta)
                return modulated

            return constant
        shared = ""
        if isinstance(conditioner, Tvfilm):
            shared = self._codes("lstm", parts.lstm, g.op("Abs", self.x), None)

        def varying(layer: int, features: str) -> str:
            if isinstance(conditioner, Tvfilm):
                modulation = self._perceptron(shared, [parts.maps[layer]])
            elif isinstance(conditioner, Ttfilm):
                reduction = parts.reductions[layer]
                codes = self._codes(f"ttfilm.{layer}", parts.lstms[layer], features, reduction)
                modulation = self._perceptron(codes, list(parts.perceptrons[layer]))
            else:
                assert isinstance(conditioner, Tfilm)
                modulation = self._codes(f"tfilm.{layer}", parts.lstms[layer], features, None)
            blocks = self.frames // BLOCK
            columns = g.turned(modulation, 1, 0)  # (2F, blocks)
            gamma, beta = (
                g.op("Unsqueeze", half, g.constant([2])) for half in g.op("Split", columns, axis=0, outputs=2)
            )
            if isinstance(conditioner, Tfilm | Ttfilm) and conditioner.unit_gamma:
                gamma = g.op("Add", gamma, g.constant(np.ones(1)))
            cut = g.op("Reshape", features, g.constant([0, blocks, BLOCK]))
            modulated = g.op("Add", g.op("Mul", gamma, cut), beta)
            return g.reshape(modulated, 0, self.frames)

        return varying

    def _perceptron(self, rows: str, steps: list[nn.Module]) -> str:
        """Linear maps and rectifiers over `rows` (rows, in)."""
        g = self.graph
        for step in steps:
            if isinstance(step, nn.Linear):
                rows = g.op("Gemm", rows, g.constant(array(step.weight)), g.constant(bias(step)), transB=1)
            elif isinstance(step, nn.ReLU):
                rows = g.op("Relu", rows)
        return rows


def s4d_matrices(s4d: S4D, piece: int) -> tuple[Array, ...]:
    """S4D over `piece` frames as constants: (channels, piece, piece) from input to output, 2 x (channels, modes, piece)
    from the state's real and imaginary part to the output, 2 x (channels, piece, modes) from the input to them, and
    2 x (channels, 1, modes) by which they turn."""
    A = -np.exp(array(s4d.log_A_re)) + 1j * array(s4d.A_im)
    dt_A = np.exp(array(s4d.log_dt))[:, None] * A
    c = 2 * (array(s4d.C) @ [1, 1j]) * np.expm1(dt_A) / A
    a = np.exp(dt_A[..., None] * np.arange(piece + 1))
    weighted = c[..., None] * a
    kernel = weighted.real[..., :piece].sum(1)
    kernel[:, 0] += array(s4d.D)
    later = np.arange(piece)[None] - np.arange(piece)[:, None]  # [j, t]: how long after input j output t is
    toeplitz = np.where(later >= 0, kernel[:, np.maximum(later, 0)], 0.0)
    into = a[..., :piece][..., ::-1].transpose(0, 2, 1)
    far = a[..., piece][:, None]
    return toeplitz, weighted.real[..., 1:], -weighted.imag[..., 1:], into.real, into.imag, far.real, far.imag
