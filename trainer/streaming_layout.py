"""What a compiled program is made of: a kernel, and a memory for weights, modulation and state."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..manifests.pcm import Float32
from .streaming_kernels import Kernel
from .streaming_places import CONSTANT, Modulation

Array = npt.NDArray[np.float64]
ALIGNMENT = 16  # floats: a line of the cache


@dataclass(frozen=True)
class Program:
    """A kernel, the memory it begins with, and how controls get into that."""

    kernel: Kernel
    memory: Float32  # silent, without controls
    live: tuple[slice, ...]  # what of it changes while a stream runs
    modulation: Modulation
    constant: Callable[[Float32], Float32] | None  # controls (controls,) -> modulation (layers * width,)
    control_places: tuple[int, ...]  # else: where the controls are heard
    silence_frames: int  # zeros to hear before the stream begins


class Layout:
    """Gives places in the memory, on lines of the cache."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, Array]] = []
        self._size = 0
        self.live: list[slice] = []

    def put(self, *values: Array) -> int:
        """The place of `values`, one behind the other."""
        flat = np.concatenate([np.zeros(0), *(np.ravel(value) for value in values)])
        place = self.room(len(flat), keeps=False)
        self._parts.append((place, flat))
        return place

    def room(self, count: int, keeps: bool = True) -> int:
        """The place of `count` zeros. `keeps`: they are state, not work space."""
        place = self._size
        self._size += -(-count // ALIGNMENT) * ALIGNMENT
        if keeps:
            self.live.append(slice(place, place + count))
        return place

    def memory(self) -> Float32:
        """All of it."""
        memory = np.zeros(self._size, np.float32)
        for place, values in self._parts:
            memory[place : place + len(values)] = values
        return memory


def bare(module: Any) -> Array:
    """Its weight as it is."""
    return array(module.weight)


def array(tensor: Any) -> Array:
    """In double precision, in which weights are prepared before they are rounded."""
    values: Array = tensor.detach().double().cpu().numpy()
    return values


def stacked(modules: Iterable[Any], of: Callable[[Any], Array]) -> Array:
    """`of` every module, (modules, ...)."""
    return np.stack([of(module) for module in modules])


def turned(linear: Any) -> Array:
    """(in, out): the weights of a linear map as the kernels read them."""
    return array(linear.weight).T


def bias(linear: Any) -> Array:
    return array(linear.bias)


@dataclass(frozen=True)
class Modulated:
    """What a network needs to know of its conditioner."""

    places: Modulation
    constant: Callable[[Float32], Float32] | None = None
    control_places: tuple[int, ...] = ()


def assemble(layout: Layout, kernel: Kernel, q: Modulated, silence_frames: int = 0) -> Program:
    """All that was laid out, with the kernel that reads it."""
    live = tuple(layout.live)
    return Program(kernel, layout.memory(), live, q.places, q.constant, q.control_places, silence_frames)


def constant_modulation(layout: Layout, layers: int, width: int, of: Callable[[Float32], Array]) -> Modulated:
    """Modulation that follows from the controls alone, by `of`."""
    values, steps, targets = (layout.room(layers * width) for _ in range(3))
    places = Modulation(CONSTANT, layers, width, values, steps, targets)
    return Modulated(places, constant=lambda controls: of(controls).ravel().astype(np.float32))
