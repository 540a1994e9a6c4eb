"""Which column of the audio belongs to which channel of the device: units, control voltages, the loopback pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..manifests.pcm import Float32

Channels = tuple[int, ...]


@dataclass(frozen=True)
class Wiring:
    """One column of what is sent per output, one column of what returns per input. Channels count from 1, columns
    from 0."""

    outputs: Channels  # device channels: every send once, then the loopback send
    inputs: Channels  # device channels: the returns of every unit, their control voltages, then the loopback return
    sends: tuple[Channels, ...]  # columns of the outputs, per unit
    returns: tuple[Channels, ...]  # columns of the inputs, per unit
    cv: tuple[Channels, ...]  # columns of the inputs, per unit; empty where no control voltage is recorded
    loopback_output: int | None = None  # column
    loopback_input: int | None = None  # column

    @classmethod
    def of(
        cls,
        sends: Sequence[Channels],
        returns: Sequence[Channels],
        cv_returns: Sequence[Channels],
        loopback: tuple[int, int] | None,
    ) -> Wiring:
        """The wiring of units with these device channels, and of a loopback pair (send, return)."""
        outputs = list(dict.fromkeys(channel for unit in sends for channel in unit))
        inputs = [channel for group in (returns, cv_returns) for unit in group for channel in unit]
        send_columns = tuple(tuple(outputs.index(channel) for channel in unit) for unit in sends)
        if loopback:
            outputs.append(loopback[0])
            inputs.append(loopback[1])
        return cls(
            outputs=tuple(outputs),
            inputs=tuple(inputs),
            sends=send_columns,
            returns=tuple(tuple(inputs.index(channel) for channel in unit) for unit in returns),
            cv=tuple(tuple(inputs.index(channel) for channel in unit) for unit in cv_returns),
            loopback_output=len(outputs) - 1 if loopback else None,
            loopback_input=len(inputs) - 1 if loopback else None,
        )

    def fan_out(self, send: Float32) -> Float32:
        """One send `(frames, channels)` to every output `(frames, outputs)`. The loopback carries channel 0, whole:
        probes and song, so that its return tells what the converters did to every sample."""
        out = np.zeros((len(send), len(self.outputs)), np.float32)
        for columns in self.sends:
            for channel, column in enumerate(columns):
                out[:, column] = send[:, channel]
        if self.loopback_output is not None:
            out[:, self.loopback_output] = send[:, 0]
        return out
