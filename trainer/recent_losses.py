"""The losses since the last line of the log, looked at together, so that a GPU need not wait for each."""

from __future__ import annotations

import torch
from torch import Tensor

from ..manifests.errors import BuscompError
from .batches import Batch


class RecentLosses:
    """Losses of steps on one batch after the other."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._unfinished: list[
            tuple[Tensor, Tensor]
        ] = []  # not looked at yet: which outputs, which targets are spoiled

    def add(self, loss: Tensor, output: Tensor, target: Tensor) -> None:
        """One more step."""
        self._losses.append(loss.detach())
        self._unfinished.append((_spoiled(output.detach()), _spoiled(target)))

    def look(self, clips: Batch, step: int) -> None:
        """`BuscompError`, with the takes, if a loss since the last look is not finite. `clips` are those of all steps
        since then, `step` the number of the next one."""
        finite = (
            torch.isfinite(torch.stack(self._losses[-len(self._unfinished) :])).tolist() if self._unfinished else []
        )
        if not all(finite):
            first = finite.index(False)
            outputs, targets = (flags.tolist() for flags in self._unfinished[first])
            raise BuscompError(
                f"the loss is not finite at step {step - len(finite) + first}, in {_named(outputs, targets, clips)}",
                mend="type `buscomp verify`, delete the decoded audio, or train with a smaller --learning-rate",
            )
        self._unfinished.clear()

    def mean(self) -> float:
        """Of the losses since the last time it was asked."""
        mean = float(torch.stack(self._losses).double().mean())
        self._losses.clear()
        return mean


def _spoiled(audio: Tensor) -> Tensor:
    return ~torch.isfinite(audio).flatten(1).all(1)


def _named(outputs: list[bool], targets: list[bool], clips: Batch) -> str:
    """Which clips of the batch are at fault."""
    for what, spoiled in (("target of", targets), ("output for", outputs)):
        named = [origin for origin, at_fault in zip(clips.origins, spoiled, strict=True) if at_fault]
        if named:
            return f"the {what} " + "; ".join(named)
    return "the batch " + "; ".join(clips.origins)
