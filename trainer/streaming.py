"""A trained model as a processor of sound in real time: any buffer, one sample too, controls turned while it runs.

    stream = Stream(model, controls=[0.3, 0.5, 0.2, 0.7, 0.0])
    for buffer in buffers:                      # (frames, channels), any number of frames
        output = stream.process(buffer)
        stream.set_controls(new_controls)       # whenever

What comes out does not depend on how the sound is cut into buffers. Models with a kernel (streaming_program.py) run as
compiled code; others, and every model with `compile_it=False`, in PyTorch.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch

from ..manifests.errors import UsageError
from ..manifests.pcm import Float32
from .state import State, StreamModel
from .streaming_kernels import BLOCK, COUNTERS, POSITION, RAMP
from .streaming_layout import Program
from .streaming_places import CONSTANT
from .streaming_program import compiled

RAMP_S = 0.02  # a change of constant modulation is spread over this, so that it does not click


class Engine(Protocol):
    """Runs a model over buffers."""

    def run(self, x: Float32, y: Float32) -> None:
        """Both (frames, channels), contiguous."""

    def set_controls(self, controls: Float32, at_once: bool) -> None: ...
    def reset(self) -> None: ...
    def state(self) -> Any: ...
    def set_state(self, state: Any) -> None: ...


class Stream:
    """`model` at `controls` (controls,), beginning after silence; each of `channels` is a mono signal of its own.

    `ramp_s`: a change of controls reaches a model with constant modulation (FiLM, Concat) evenly over this time. With
    time-varying modulation it begins to be heard at the next block of 128 samples, through the model's own LSTM.
    """

    def __init__(
        self,
        model: StreamModel,
        controls: Float32 | list[float],
        channels: int = 1,
        sample_rate: int = 44_100,
        ramp_s: float = RAMP_S,
        compile_it: bool = True,
    ):
        if model.look_ahead_samples:
            raise UsageError(
                "this model looks ahead, and cannot be streamed", got=f"{model.look_ahead_samples} samples",
                allowed="0 samples", mend="train with --alignment delayed",
            )  # fmt: skip
        self._expected = model.controls
        self.channels, self.sample_rate = channels, sample_rate
        self.controls = self._checked(controls)
        program = compiled(model) if compile_it else None
        self.compiled = program is not None
        self._engine: Engine = (
            TorchEngine(model, channels, self.controls)
            if program is None
            else CompiledEngine(program, channels, self.controls, round(ramp_s * sample_rate))
        )

    def process(self, buffer: Float32) -> Float32:
        """`buffer` (frames, channels) through the model: a new array of the same shape."""
        buffer = np.ascontiguousarray(buffer, np.float32)
        output = np.empty_like(buffer)
        self.process_into(buffer, output)
        return output

    def process_into(self, buffer: Float32, output: Float32) -> None:
        """As `process`, into an array that is there: nothing is allocated. Both (frames, channels), float32,
        contiguous."""
        if buffer.ndim != 2 or buffer.shape[1] != self.channels or buffer.shape != output.shape:
            raise UsageError("a buffer does not fit the stream", got=buffer.shape, allowed=f"(frames, {self.channels})")
        self._engine.run(buffer, output)

    def set_controls(self, controls: Float32 | list[float]) -> None:
        """Turn knobs; from the next buffer on. May be called from another thread than `process`."""
        self.controls = self._checked(controls)
        self._engine.set_controls(self.controls, at_once=False)

    def reset(self) -> None:
        """Begin again after silence, at the controls as they are."""
        self._engine.set_controls(self.controls, at_once=True)
        self._engine.reset()

    @property
    def state(self) -> Any:
        """Everything that the stream remembers; set it to go on from there."""
        return self._engine.state()

    @state.setter
    def state(self, state: Any) -> None:
        self._engine.set_state(state)

    def _checked(self, controls: Float32 | list[float]) -> Float32:
        values = np.array(controls, np.float32)
        if values.shape != (self._expected,):
            raise UsageError(
                "a model was given other controls than it has", got=values.shape, allowed=f"({self._expected},)"
            )
        return values


class CompiledEngine:
    """A program in a memory per channel."""

    def __init__(self, program: Program, channels: int, controls: Float32, ramp_frames: int):
        self._program, self._ramp_frames = program, ramp_frames
        self._memories = np.tile(program.memory, (channels, 1))
        self._counters = np.zeros((channels, COUNTERS), np.int64)
        self._asked: Float32 | None = None
        self.set_controls(controls, at_once=True)
        self.reset()

    def run(self, x: Float32, y: Float32) -> None:
        if self._asked is not None:
            asked, self._asked = self._asked, None
            self._turn(asked)
        self._program.kernel(self._memories, self._counters, x, y)

    def set_controls(self, controls: Float32, at_once: bool) -> None:
        of = self._program.constant
        values = controls if of is None else of(controls)
        if at_once:
            self._asked, self._wanted = None, values
        else:
            self._asked = self._wanted = values

    def reset(self) -> None:
        for live in self._program.live:
            self._memories[:, live] = 0
        self._counters[:] = 0
        self._counters[:, POSITION] = BLOCK  # a silent block has just passed
        self._place(self._wanted)
        silence = np.zeros((self._program.silence_frames, len(self._memories)), np.float32)
        self._program.kernel(self._memories, self._counters, silence, silence.copy())

    def state(self) -> Any:
        live = [self._memories[:, places].copy() for places in self._program.live]
        return live, self._counters.copy(), self._wanted

    def set_state(self, state: Any) -> None:
        live, counters, self._wanted = state
        for places, values in zip(self._program.live, live, strict=True):
            self._memories[:, places] = values
        self._counters[:] = counters
        self._asked = None

    def _turn(self, values: Float32) -> None:
        """Towards `values`, evenly, or to them at once where the model itself smooths them."""
        q = self._program.modulation
        if q.kind != CONSTANT or not self._ramp_frames:
            self._place(values)
            return
        size = q.layers * q.width
        m = self._memories
        m[:, q.targets : q.targets + size] = values
        m[:, q.steps : q.steps + size] = (values - m[:, q.values : q.values + size]) / self._ramp_frames
        self._counters[:, RAMP] = self._ramp_frames

    def _place(self, values: Float32) -> None:
        q = self._program.modulation
        for place in (q.values,) if q.kind == CONSTANT else self._program.control_places:
            self._memories[:, place : place + len(values)] = values
        self._counters[:, RAMP] = 0


class TorchEngine:
    """The model itself, called for every buffer with the state of the last one; a batch of mono signals."""

    def __init__(self, model: StreamModel, channels: int, controls: Float32):
        self._model, self._channels = model.eval(), channels
        self._state: State = {}
        self.set_controls(controls, at_once=True)
        self.reset()

    @torch.inference_mode()
    def run(self, x: Float32, y: Float32) -> None:
        output, self._state = self._model(torch.from_numpy(x).T[:, None], self._controls, self._state)
        y[:] = output[:, 0].T.numpy()

    def set_controls(self, controls: Float32, at_once: bool) -> None:
        self._controls = torch.from_numpy(controls).expand(self._channels, -1)

    @torch.inference_mode()
    def reset(self) -> None:
        self._state = self._model.initial_state(self._controls)

    def state(self) -> Any:
        return dict(self._state)

    def set_state(self, state: Any) -> None:
        self._state = dict(state)
