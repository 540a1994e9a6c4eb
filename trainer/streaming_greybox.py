"""The grey boxes as compiled programs: what streaming_program.py is for the networks."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ..manifests.pcm import Float32
from .detector import HIDDEN, LONGEST_S, SHORTEST_S, Detector, Modulated, OnePole, Switching
from .gain_loop import LAW, STATE
from .greybox import GreyBoxDRC, GruGain, StaticGain
from .physical import Physical
from .streaming_greybox_kernels import grey_box_kernel, physical_kernel
from .streaming_layout import Array, Layout, Program, array, assemble, constant_modulation
from .streaming_places import GreyBoxPlaces, PhysicalPlaces


def physical(model: Physical, layout: Layout) -> Program:
    """The law of the gain loop follows from the controls; it and the make-up move evenly while a knob is turned."""

    @torch.no_grad()
    def law(controls: Float32) -> Array:
        law, makeup_db = model.law(torch.from_numpy(controls)[None])
        return np.append(array(law), array(makeup_db))

    modulated = constant_modulation(layout, 1, LAW + 1, law)
    places = PhysicalPlaces(float(model.feedback), layout.room(2 * STATE))
    return assemble(layout, physical_kernel(places, modulated.places), modulated)


def grey_box(model: GreyBoxDRC, layout: Layout) -> Program:
    """The static curve follows from the controls; the detector's times are the same at all of them."""

    @torch.no_grad()
    def curve(controls: Float32) -> Array:
        return np.concatenate([array(number) for number in model.curve_at(torch.from_numpy(controls)[None])])

    modulated = constant_modulation(layout, 1, 2 + model.soft, curve)
    detector = model.detector
    places = GreyBoxPlaces(
        model.soft,
        isinstance(detector, Modulated),
        detector.sample_rate,
        HIDDEN,
        steps=layout.put(_steps(detector)),
        rnn=layout.put(*(_recurrent(detector.rnn, detector.tau) if isinstance(detector, Modulated) else ())),
        makeup=layout.put(*_makeup(model.makeup)),
        states=layout.room(2 * (1 + 2 * HIDDEN)),
        before=layout.room(2 * HIDDEN, keeps=False),
    )
    return assemble(layout, grey_box_kernel(places, modulated.places), modulated)


def _steps(detector: Detector) -> Array:
    """What the gain moves by in a sample, of what it misses, while it falls and while it rises."""
    if isinstance(detector, OnePole):
        tau_s = array(detector.tau_s).clip(SHORTEST_S, LONGEST_S).repeat(2)
    elif isinstance(detector, Switching):
        tau_s = array(torch.sigmoid(detector.attack_and_release.double()))
    else:
        return np.zeros(2)
    return np.asarray(-np.expm1(-1 / (tau_s * detector.sample_rate)))


def _makeup(makeup: nn.Module) -> list[Array]:
    if isinstance(makeup, StaticGain):
        return [np.tanh(array(makeup.offset)), 1 + np.tanh(array(makeup.factor))]
    assert isinstance(makeup, GruGain)
    return _recurrent(makeup.gru, makeup.mix)


def _recurrent(network: nn.RNNBase, last: nn.Linear) -> list[Array]:
    """A recurrent network of one input, and the linear map behind it; a GRU's biases stay apart."""
    of_input, of_state = array(network.bias_ih_l0), array(network.bias_hh_l0)
    biases = [of_input, of_state] if isinstance(network, nn.GRU) else [of_input + of_state]
    return [array(network.weight_ih_l0), array(network.weight_hh_l0), *biases, array(last.weight), array(last.bias)]
