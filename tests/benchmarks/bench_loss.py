"""The multi-resolution STFT distance beside auraloss's: how fast, and how far apart.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_loss.py [--rounds 15]

Forward and backward, CPU time of this process, candidates alternated, medians after two rounds that do not count.
Apart: value and gradient (norm of the difference over the norm) in double precision, where both mean the same, and each
one's single-precision gradient against that.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import auraloss
import torch
from torch import Tensor

from buscomp.trainer.loss import mstft

SHAPES = ((16, 4410), (4, 65_536))  # batch, frames
Distance = Callable[[Tensor, Tensor], Tensor]


def peer(dtype: torch.dtype) -> Distance:
    """auraloss at its defaults."""
    distance = auraloss.freq.MultiResolutionSTFTLoss()
    for resolution in distance.stft_losses:
        resolution.window = torch.hann_window(resolution.win_length, dtype=dtype)
    found: Distance = distance
    return found


def signals(batch: int, frames: int) -> tuple[Tensor, Tensor]:
    """An output and a target that differ by gain and noise."""
    generator = torch.Generator().manual_seed(batch)
    target = 0.1 * torch.randn(batch, 1, frames, generator=generator)
    return 0.7 * target + 0.02 * torch.randn(batch, 1, frames, generator=generator), target


def step(distance: Distance, output: Tensor, target: Tensor) -> tuple[float, Tensor]:
    """Value and gradient."""
    output = output.detach().requires_grad_()
    value = distance(output, target)
    (gradient,) = torch.autograd.grad(value, output)
    return value.item(), gradient


def medians_s(works: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU time of each, alternated."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds + 2):
        for name, work in works.items():
            began = time.process_time()
            work()
            taken[name].append(time.process_time() - began)
    return {name: statistics.median(times[2:]) for name, times in taken.items()}


def apart(found: Tensor, wanted: Tensor) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    for batch, frames in SHAPES:
        output, target = signals(batch, frames)
        theirs = peer(torch.float32)
        works = {"auraloss": partial(step, theirs, output, target), "ours": partial(step, mstft, output, target)}
        taken = medians_s(works, rounds)
        value, gradient = step(peer(torch.float64), output.double(), target.double())
        our_value, our_gradient = step(mstft, output.double(), target.double())
        print(
            f"B{batch} L{frames}: auraloss {1e3 * taken['auraloss']:.1f} ms, ours {1e3 * taken['ours']:.1f} ms: "
            f"{taken['auraloss'] / taken['ours']:.2f} x"
        )
        print(
            f"    double: value {abs(our_value / value - 1):.1e}, gradient {apart(our_gradient, gradient):.1e} apart; "
            f"single: value {abs(step(mstft, output, target)[0] / step(theirs, output, target)[0] - 1):.1e}, gradient "
            f"ours {apart(step(mstft, output, target)[1], gradient):.1e}, "
            f"auraloss's {apart(step(theirs, output, target)[1], gradient):.1e} from the double one"
        )


if __name__ == "__main__":
    main()
