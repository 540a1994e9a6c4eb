"""Where everything lies in the memory of a stream: what streaming_program.py lays out and a kernel reads.

Numbers are places in an array of floats, or sizes; behind each stands the shape of what lies there.
"""

from __future__ import annotations

from typing import NamedTuple

CONSTANT, SHARED, LAYERED = 0, 1, 2  # how modulation comes about, see `Modulation`


class Modulation(NamedTuple):
    """Where the numbers lie by which `layers` layers are modulated, `width` each, and what makes them.

    CONSTANT: controls alone; a change is spread over as many frames as the ramp lasts.
    SHARED: once per block, an LSTM that hears the controls and the peak of |x|; then a linear map per layer.
    LAYERED: once per block and layer, an LSTM that hears the controls and the peaks of the layer's `features`, which
    a map may reduce first; its output goes through a perceptron of two hidden layers, where there is one.
    """

    kind: int
    layers: int
    width: int
    values: int  # (layers, width) in force
    steps: int = 0  # CONSTANT: what is added per frame of a ramp
    targets: int = 0  # CONSTANT: where the ramp ends
    features: int = 0  # LAYERED: channels whose peaks are heard
    peaks: int = 0  # LAYERED: (layers, features)
    pooled: int = 0  # numbers that the LSTM hears beside the controls
    controls: int = 0
    hidden: int = 0
    heard: int = 0  # (layers, pooled + controls + hidden): what the LSTM hears, its own output last
    cells: int = 0  # (layers, hidden)
    gates: int = 0  # work space (4 hidden,)
    weights: int = 0  # (layers, pooled + controls + hidden, 4 hidden)
    biases: int = 0  # (layers, 4 hidden)
    reduction: int = -1  # (layers, features, pooled) and, behind it, nothing; -1: none
    reduction_biases: int = 0
    maps: int = -1  # SHARED: (layers, hidden, width); -1: LAYERED without a perceptron
    map_biases: int = 0  # (layers, width)
    first: int = 0  # perceptron: (layers, hidden, first_width), (layers, first_width), then the same for `second`
    first_biases: int = 0
    first_width: int = 0
    second: int = 0
    second_biases: int = 0
    second_width: int = 0
    work: int = 0  # (first_width + second_width,)
    rectified: bool = False  # the perceptron's output, too
    raised: float = 0.0  # added to gamma


class S4Places(NamedTuple):
    """Where everything of an S4 network lies (s4.py, ssm.py): `blocks` blocks of `channels` of `modes` each."""

    channels: int
    modes: int
    blocks: int
    rectifies: bool  # PReLU instead of tanh
    widen: int  # (channels,) weights, then (channels,) biases
    mixes: int  # (blocks, channels, channels)
    mix_biases: int  # (blocks, channels)
    slopes: int  # (blocks, 2)
    feedthroughs: int  # (blocks, channels): D
    systems: int  # (blocks, modes, 4, channels): real and imaginary part of a - 1, then of c
    residuals: int  # (blocks, channels)
    narrow: int  # (channels,) weights, then the bias
    states: int  # (blocks, modes, 4, channels): real and imaginary part, and what rounding lost of them
    h: int  # work space (channels,), as are u and y
    u: int
    y: int


class ConvolutionPlaces(NamedTuple):
    """Where everything of a TCN or GCN lies. The input goes into every channel of the first block, whose weights are 0
    for all but the first channel, so that all blocks are alike."""

    channels: int
    taps: int
    gated: bool  # GCN
    rectifies: bool  # micro-TCN: PReLU with a slope per channel instead of tanh
    dilations: tuple[int, ...]
    lines: tuple[int, ...]  # of each block: delay line (a power of two of frames, channels), in a circle
    masks: tuple[int, ...]  # frames of that minus one
    weights: int  # (blocks, taps, channels, outputs); outputs are 2 channels in a GCN
    biases: int  # (blocks, outputs)
    mixes: int  # GCN: (blocks, channels, channels)
    mix_biases: int  # GCN: (blocks, channels)
    residuals: int  # TCN: (blocks, channels)
    slopes: int  # micro-TCN: (blocks, channels)
    narrow: int  # TCN: (channels,), GCN: (blocks, channels); then the bias
    h: int  # work space (channels,)
    past: int  # (taps, channels)
    f: int  # (outputs,)
    z: int  # (channels,)


class LstmPlaces(NamedTuple):
    """Where everything of an LSTM network lies. The modulation is what controls add to its gates, (4 hidden,)."""

    hidden: int
    weights: int  # (1 + hidden, 4 hidden)
    heard: int  # (1 + hidden,): the input and the last output
    cell: int
    gates: int  # work space (4 hidden,)
    narrow: int  # (hidden,) weights, then the bias


class GreyBoxPlaces(NamedTuple):
    """Where everything of GreyBoxDRC lies (greybox.py). The modulation is threshold in dB, slope and, if soft, the knee
    in dB. State and work space are in double precision: two floats each."""

    soft: bool
    modulated: bool  # by a recurrent network; else the detector has `steps`
    sample_rate: int
    hidden: int  # of that network and of the one of a hard one's make-up
    steps: int  # (2,) fractions of a step per sample while the gain falls and while it rises
    rnn: int  # (hidden,) of the input, (hidden, hidden), (hidden,) biases; then (hidden,) of tau and its bias
    makeup: int  # soft: what is added, then the factor; hard: as `rnn` with 3 hidden rows, and biases of both terms
    states: int  # gain in dB, (hidden,) of the detector's network, (hidden,) of the make-up's
    before: int  # work space (hidden,)


class PhysicalPlaces(NamedTuple):
    """Where everything of the physical grey box lies (physical.py). The modulation is the law of gain_loop.py, then the
    make-up in dB. State is in double precision: two floats each."""

    feedback: float
    states: int  # envelope, fast and slow branch
