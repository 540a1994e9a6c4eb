"""A trained model as a compiled program: its weights laid out for a kernel of streaming_kernels.py.

`compiled(model)` knows the S4, ssm, TCN, GCN and LSTM networks with every conditioning, GreyBoxDRC and the physical
grey box. What else there is, the ToneTwist chains, gives None, and is streamed by PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from ..manifests.pcm import Float32
from .blocks import BLOCK, BlockLstm
from .conditioning import Conditioner, Film, Tfilm, Ttfilm, Tvfilm
from .convolution import CausalConvolution, ConvolutionalModel
from .gcn import Gcn
from .greybox import GreyBoxDRC
from .lstm import Lstm
from .physical import Physical
from .s4 import S4
from .ssm import Ssm
from .state import StreamModel
from .streaming_greybox import grey_box, physical
from .streaming_kernels import convolution_kernel, lstm_kernel, s4_kernel
from .streaming_layout import (
    Array,
    Layout,
    Modulated,
    Program,
    array,
    assemble,
    bare,
    bias,
    constant_modulation,
    stacked,
    turned,
)  # fmt: skip
from .streaming_places import LAYERED, SHARED, ConvolutionPlaces, LstmPlaces, Modulation, S4Places
from .tcn import MicroTcn, Tcn


@torch.no_grad()
def compiled(model: StreamModel) -> Program | None:
    """`model`, which may not look ahead, as a program; None where there is no kernel for it."""
    if model.look_ahead_samples:
        return None
    layout = Layout()
    if isinstance(model, S4 | Ssm):
        return _s4(model, layout)
    if isinstance(model, Tcn | MicroTcn | Gcn):
        return _convolutional(model, layout)
    if isinstance(model, Lstm):
        return _lstm(model, layout)
    if isinstance(model, GreyBoxDRC):
        return grey_box(model, layout)
    if isinstance(model, Physical):
        return physical(model, layout)
    return None


def _s4(model: S4 | Ssm, layout: Layout) -> Program:
    first: Any = model.s4ds[0]
    channels, modes = first.C.shape[:2]
    slopes = np.zeros((len(model.mixes), 2))
    if isinstance(model, Ssm):
        slopes = np.concatenate([stacked(prelus, bare) for prelus in (model.inner_prelus, model.outer_prelus)], axis=1)
    modulated = _modulation(model.conditioner, len(model.mixes), 2 * channels, channels, model.controls, layout)
    places = S4Places(
        channels,
        modes,
        len(model.mixes),
        isinstance(model, Ssm),
        widen=layout.put(array(model.widen.weight), bias(model.widen)),
        mixes=layout.put(stacked(model.mixes, turned)),
        mix_biases=layout.put(stacked(model.mixes, bias)),
        slopes=layout.put(slopes),
        feedthroughs=layout.put(stacked(model.s4ds, lambda s4d: array(s4d.D))),
        systems=layout.put(stacked(model.s4ds, _system)),
        residuals=layout.put(stacked(model.residual_scales, array)),
        narrow=layout.put(array(model.narrow.weight), bias(model.narrow)),
        states=layout.room(len(model.mixes) * modes * 4 * channels),
        h=layout.room(channels, keeps=False),
        u=layout.room(channels, keeps=False),
        y=layout.room(channels, keeps=False),
    )
    return assemble(layout, s4_kernel(places, modulated.places), modulated)


def _system(s4d: Any) -> Array:
    """(modes, 4, channels). a - 1 instead of a: near 1, where memories are long, single precision has few digits left
    of what a differs from 1 by."""
    A = -np.exp(array(s4d.log_A_re)) + 1j * array(s4d.A_im)
    below = np.expm1(np.exp(array(s4d.log_dt))[:, None] * A)
    c = 2 * (array(s4d.C) @ [1, 1j]) * below / A
    return np.stack([below.real, below.imag, c.real, c.imag], axis=0).transpose(2, 0, 1)


def _convolutional(model: ConvolutionalModel, layout: Layout) -> Program:
    first, second = model.convolutions[0], model.convolutions[1]
    assert isinstance(first, CausalConvolution)
    assert isinstance(second, CausalConvolution)
    channels, outputs, taps = second.in_channels, second.out_channels, second.kernel_size[0]
    gated, micro = isinstance(model, Gcn), isinstance(model, MicroTcn)
    blocks = len(model.convolutions)
    dilations = tuple(int(convolution.dilation[0]) for convolution in list[Any](model.convolutions))
    lengths = [1 << ((taps - 1) * dilation).bit_length() for dilation in dilations]
    modulated = _modulation(model.conditioner, blocks, 2 * outputs, outputs, model.controls, layout)

    def weights(convolution: Any) -> Array:
        all_inputs = np.zeros((taps, channels, outputs))
        of = array(convolution.weight).transpose(2, 1, 0)
        all_inputs[:, : of.shape[1]] = of
        return all_inputs

    def biases(convolution: Any) -> Array:
        return np.zeros(outputs) if convolution.bias is None else bias(convolution)

    none = np.zeros(0)
    places = ConvolutionPlaces(
        channels,
        taps,
        gated,
        micro,
        dilations,
        lines=tuple(layout.room(length * channels) for length in lengths),
        masks=tuple(length - 1 for length in lengths),
        weights=layout.put(stacked(model.convolutions, weights)),
        biases=layout.put(stacked(model.convolutions, biases)),
        mixes=layout.put(stacked(model.mixes, turned) if isinstance(model, Gcn) else none),
        mix_biases=layout.put(stacked(model.mixes, bias) if isinstance(model, Gcn) else none),
        residuals=layout.put(stacked(model.residual_scales, array) if isinstance(model, Tcn | MicroTcn) else none),
        slopes=layout.put(stacked(model.prelus, bare) if isinstance(model, MicroTcn) else none),
        narrow=layout.put(array(model.narrow.weight), bias(model.narrow)),
        h=layout.room(channels, keeps=False),
        past=layout.room(taps * channels, keeps=False),
        f=layout.room(outputs, keeps=False),
        z=layout.room(channels, keeps=False),
    )
    silence_frames = -(-model.receptive_field // BLOCK) * BLOCK if model.conditioner.varies else 1
    return assemble(layout, convolution_kernel(places, modulated.places), modulated, silence_frames)


def _lstm(model: Lstm, layout: Layout) -> Program:
    hidden = model.lstm.hidden_size
    of_input, gates = array(model.lstm.weight_ih_l0), _lstm_biases(model.lstm)
    beside = of_input[:, 1:]  # what controls, or the conditioner's code, add to the gates
    if model.conditioner is None:
        modulated = constant_modulation(layout, 1, 4 * hidden, lambda controls: gates + beside @ controls)
    else:
        modulated = _shared(model.conditioner, beside.T[None], gates[None], layout)
    places = LstmPlaces(
        hidden,
        weights=layout.put(of_input[:, :1].T, array(model.lstm.weight_hh_l0).T),
        heard=layout.room(1 + hidden),
        cell=layout.room(hidden),
        gates=layout.room(4 * hidden, keeps=False),
        narrow=layout.put(array(model.narrow.weight), bias(model.narrow)),
    )
    return assemble(layout, lstm_kernel(places, modulated.places), modulated)


def _modulation(
    conditioner: Conditioner, layers: int, width: int, features: int, controls: int, layout: Layout
) -> Modulated:
    if isinstance(conditioner, Film):
        return constant_modulation(layout, layers, width, _film(conditioner))
    if isinstance(conditioner, Tvfilm):
        return _shared(conditioner.lstm, stacked(conditioner.maps, turned), stacked(conditioner.maps, bias), layout)
    assert isinstance(conditioner, Tfilm | Ttfilm)
    return _layered(conditioner, width, features, controls, layout)


def _film(film: Film) -> Callable[[Float32], Array]:
    """Controls -> (layers, 2F), with the normalisation folded into it."""
    steps = [(array(step.weight), bias(step)) for step in film.perceptron if isinstance(step, nn.Linear)]
    scales = [1 / np.sqrt(array(norm.running_var) + norm.eps) for norm in list[Any](film.norms)]
    means = [array(norm.running_mean) for norm in film.norms]
    maps = [(array(step.weight), bias(step)) for step in film.maps]

    def modulation(controls: Float32) -> Array:
        code = np.asarray(controls, np.float64)
        for weight, offset in steps:
            code = np.maximum(weight @ code + offset, 0)
        rows = []
        for (weight, offset), scale, mean in zip(maps, scales, means, strict=True):
            gamma, beta = np.split(weight @ code + offset, 2)
            rows.append(np.concatenate([gamma * scale, beta - gamma * scale * mean]))
        return np.stack(rows)

    return modulation


def _shared(lstm: BlockLstm, maps: Array, map_biases: Array, layout: Layout) -> Modulated:
    """`maps` (layers, hidden, width)."""
    layers, hidden, width = maps.shape
    controls = lstm.input_size - 1
    places = Modulation(
        SHARED,
        layers,
        width,
        values=layout.room(layers * width),
        pooled=1,
        controls=controls,
        hidden=hidden,
        heard=layout.room(lstm.input_size + hidden),
        cells=layout.room(hidden),
        gates=layout.room(4 * hidden, keeps=False),
        weights=layout.put(_lstm_weights(lstm)),
        biases=layout.put(_lstm_biases(lstm)),
        maps=layout.put(maps),
        map_biases=layout.put(map_biases),
    )
    return Modulated(places, control_places=(places.heard + 1,))


def _layered(conditioner: Tfilm | Ttfilm, width: int, features: int, controls: int, layout: Layout) -> Modulated:
    layers, lstms = len(conditioner.lstms), list[Any](conditioner.lstms)
    hidden, inputs = lstms[0].hidden_size, lstms[0].input_size
    places = Modulation(
        LAYERED,
        layers,
        width,
        values=layout.room(layers * width),
        features=features,
        peaks=layout.room(layers * features),
        pooled=inputs - controls,
        controls=controls,
        hidden=hidden,
        heard=layout.room(layers * (inputs + hidden)),
        cells=layout.room(layers * hidden),
        gates=layout.room(4 * hidden, keeps=False),
        weights=layout.put(stacked(lstms, _lstm_weights)),
        biases=layout.put(stacked(lstms, _lstm_biases)),
        raised=1.0 if conditioner.unit_gamma else 0.0,
    )
    if isinstance(conditioner, Ttfilm):
        perceptrons = list[Any](conditioner.perceptrons)
        first, second, maps = ([steps[i] for steps in perceptrons] for i in (0, 2, 4))
        places = places._replace(
            reduction=layout.put(stacked(conditioner.reductions, turned)),
            reduction_biases=layout.put(stacked(conditioner.reductions, bias)),
            first=layout.put(stacked(first, turned)),
            first_biases=layout.put(stacked(first, bias)),
            first_width=first[0].out_features,
            second=layout.put(stacked(second, turned)),
            second_biases=layout.put(stacked(second, bias)),
            second_width=second[0].out_features,
            maps=layout.put(stacked(maps, turned)),
            map_biases=layout.put(stacked(maps, bias)),
            work=layout.room(first[0].out_features + second[0].out_features, keeps=False),
            rectified=isinstance(perceptrons[0][-1], nn.ReLU),
        )
    apart = inputs + hidden
    return Modulated(places, control_places=tuple(places.heard + i * apart + places.pooled for i in range(layers)))


def _lstm_weights(lstm: Any) -> Array:
    """(inputs + hidden, 4 hidden)."""
    return np.concatenate([array(lstm.weight_ih_l0).T, array(lstm.weight_hh_l0).T])


def _lstm_biases(lstm: Any) -> Array:
    return array(lstm.bias_ih_l0) + array(lstm.bias_hh_l0)
