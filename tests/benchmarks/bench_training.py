"""A training step beside the published toolbox's: CPU time per sample of audio, alternated in one run, medians.

    pip install --no-deps --target PEER nablafx==1.0.0 rational-activations==0.2.0 einops
    pip install auraloss
    PYTHONPATH=PEER python tests/benchmarks/bench_training.py [--rows s4-4-4 ...] [--batches 4 16] [--rounds N]

(Without --no-deps the toolbox brings another torch and does not import. Only its networks are loaded here, which need
nothing else.) A step is forward, L1 + multi-resolution STFT, backward and AdamW: the toolbox with auraloss on 4 410
samples from reset states, ours with its own loss on 4 480 samples with carried state.

Before anything is timed, its weights are copied into ours, in float64. Counts must agree in all rows, and outputs to
1e-9 of their standard deviation where no defect of the toolbox moves them: in the rows of LSTM and S4, in its
alignment, and in those of TCN and GCN with FiLM, once its late crop of residuals is put right.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import statistics
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import auraloss
import torch
from torch import Tensor, nn

from buscomp.trainer.conditioning import FILM, FILMS
from buscomp.trainer.loss import training_loss
from buscomp.trainer.lstm import CONCAT, TVCONCAT
from buscomp.trainer.optimiser import make_optimiser
from buscomp.trainer.registry import build
from buscomp.trainer.state import StreamModel, detach, parameter_count

PEER_FRAMES, OUR_FRAMES = 4410, 4480
CONTROLS = 4
GOALS = {  # times the toolbox, in the conditioning that is timed
    "s4-4-4": 2.0, "s4-8-32": 3.0, "gcn-10-3": 1.3, "tcn-10-3": 1.3, "lstm-32": 1.0,
}  # fmt: skip
TIMED = {name: TVCONCAT if name.startswith("lstm") else "tvfilm" for name in GOALS}
NETWORKS = ("lstm-32", "lstm-96", "tcn-5-7", "tcn-10-3", "gcn-5-7", "gcn-10-3", "s4-4-4", "s4-8-32")
ROWS = [(name, kind) for name in NETWORKS for kind in ((CONCAT, TVCONCAT) if name.startswith("lstm") else FILMS)]
RENAMED = (  # in the toolbox, here
    (r"^expand\.", "widen."),
    (r"^(contract|output|lin|mix)\.", "narrow."),
    (r"^blocks\.(\d+)\.(linear|mix)\.", r"mixes.\1."),
    (r"^blocks\.(\d+)\.conv\.", r"convolutions.\1."),
    (r"^blocks\.(\d+)\.res\.weight", r"residual_scales.\1"),
    (r"^blocks\.(\d+)\.s4\.log_A_real", r"s4ds.\1.log_A_re"),
    (r"^blocks\.(\d+)\.s4\.A_imag", r"s4ds.\1.A_im"),
    (r"^blocks\.(\d+)\.s4\.", r"s4ds.\1."),
    (r"^blocks\.(\d+)\.film\.bn\.", r"conditioner.norms.\1."),
    (r"^blocks\.(\d+)\.film\.lstm\.", r"conditioner.lstms.\1."),
    (r"^blocks\.(\d+)\.film\.conv\.", r"conditioner.reductions.\1."),
    (r"^blocks\.(\d+)\.film\.adaptor\.(\d)", r"conditioner.perceptrons.\1.\2"),
    (r"^blocks\.(\d+)\.film\.adaptor\.", r"conditioner.maps.\1."),
    (r"^cond_nn\.mlp\.", "conditioner.perceptron."),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=list(GOALS), choices=list(GOALS), help="timed ones")
    parser.add_argument("--batches", nargs="*", type=int, default=[16])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if importlib.util.find_spec("nablafx") is None:
        print("skipped: the toolbox is not there. How to install it:\n\n" + (__doc__ or ""))
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    import_networks()

    print(f"{len(ROWS)} rows: counts, and largest difference of outputs with the toolbox's weights")
    for name, kind in ROWS:
        print(f"  {name:9} {kind:9} {check(name, kind)}")
    print(f"\nload average {os.getloadavg()[0]:.1f}, torch {torch.__version__}, 1 thread; CPU time of a step")
    print(f"{'model':20} {'batch':>5} {'toolbox ms':>11} {'ours ms':>9} {'times faster':>13} {'goal':>5} {'spread':>7}")
    for name in options.rows:
        for batch in options.batches:
            theirs_ms, ours_ms, ratio, spread = times(name, TIMED[name], batch, options.rounds)
            row = f"{name} {TIMED[name]}"
            print(f"{row:20} {batch:5} {theirs_ms:11.0f} {ours_ms:9.0f} {ratio:13.2f} {GOALS[name]:5} {spread:7.0%}")


def import_networks() -> None:
    """The toolbox's networks without the rest of it, which needs a tracker, a trainer and torchaudio to import."""
    spec = importlib.util.find_spec("nablafx")
    if spec is None or spec.submodule_search_locations is None:
        raise SystemExit("nablafx cannot be found: see the begin of this file for how to install it")
    (root,) = spec.submodule_search_locations
    for name, folder in (("nablafx", root), ("nablafx.processors", os.path.join(root, "processors"))):
        package = types.ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package


def toolbox(name: str, kind: str) -> Any:
    """The toolbox's network of a row of Table 2 of Solid State Bus-Comp."""
    family, *numbers = name.split("-")
    of_family = importlib.import_module(f"nablafx.processors.{family}")
    first, second = (int(number) for number in (*numbers, "0")[:2])
    if family == "lstm":
        kinds = {CONCAT: "fixed", TVCONCAT: "tvcond"}
        return of_family.LSTM(num_controls=CONTROLS, hidden_size=first, cond_type=kinds[kind])
    common = {"num_controls": CONTROLS, "num_blocks": first, "channel_width": 16, "residual": True, "cond_type": kind}
    if family == "s4":
        return of_family.S4(**common, s4_state_dim=second, act_type="tanh")
    grown = {"kernel_size": second, "dilation_growth": 4 if second == 7 else 2, "stack_size": 12}
    if family == "gcn":
        return of_family.GCN(**common, **grown, bias=True, causal=True)
    return of_family.TCN(**common, **grown, bias=True, causal=True, act_type="tanh")


def copy_weights(source: nn.Module, target: StreamModel) -> None:
    """`source` is the toolbox's."""
    wanted = target.state_dict()
    lstm = isinstance(getattr(target, "lstm", None), nn.LSTM)  # the network is one, with a conditioner that is one
    conditioner = "conditioner." if lstm else "conditioner.lstm."
    copied = {}
    for key, value in source.state_dict().items():
        if key.startswith("cond_nn.layers."):
            continue  # the same as those of mlp
        for pattern, replacement in (*RENAMED, (r"^cond_nn\.lstm\.", conditioner)):
            key, found = re.subn(pattern, replacement, key)
            if found:
                break
        copied[key] = value.reshape(wanted[key].shape)
    target.load_state_dict(copied)


@torch.no_grad()
def check(name: str, kind: str) -> str:
    """Equal counts; equal outputs where the toolbox is right."""
    theirs, ours = toolbox(name, kind).double(), build(name, kind, CONTROLS, alignment="same").double()
    count = sum(parameter.numel() for parameter in theirs.parameters())
    assert count == parameter_count(ours), (name, kind, count)
    convolutional = name[:3] in ("tcn", "gcn")
    for key, value in theirs.state_dict().items():
        if "running" in key or "lstm" in key:  # from values that do nothing to ones that do
            value.uniform_(0.1, 0.5) if "running" in key else value.mul_(2)
    copy_weights(theirs, ours)
    if convolutional and kind != FILM:
        return f"{count:8}"
    if convolutional:
        for module in ("blocks", "gcn"):
            vars(importlib.import_module(f"nablafx.processors.{module}"))["causal_crop"] = _last
    x, controls = 0.3 * torch.randn(2, 1, 32 * 128).double(), torch.rand(2, CONTROLS).double()
    differences = []
    for mode in (True, False):
        theirs.train(mode), ours.train(mode)
        if mode and convolutional:
            continue  # its statistics are those of the padding, too
        theirs.reset_states()
        y, _ = ours(x, controls)
        wanted = theirs(x, controls)
        differences.append(float((y - wanted).abs().max() / wanted.std()))  # a level alone does not count
    assert max(differences) < 1e-9, (name, kind, differences)
    return f"{count:8}  {max(differences):.0e}"


def _last(x: Tensor, length: int) -> Tensor:
    """Causal alignment: what belongs to the last `length` samples."""
    return x[..., x.shape[-1] - length :]


def times(name: str, kind: str, batch: int, rounds: int) -> tuple[float, float, float, float]:
    """Milliseconds of a step of the toolbox and of ours, their ratio per sample of audio, and how far apart the
    quartiles of the more restless of both are: where that is above 25 % the machine was too busy for a figure."""
    theirs, ours = toolbox(name, kind), build(name, kind, CONTROLS)
    stft = auraloss.freq.MultiResolutionSTFTLoss()
    controls = torch.rand(batch, CONTROLS)
    carried = ours.initial_state(controls)

    def their_step() -> None:
        x, target = 0.1 * torch.randn(2, batch, 1, PEER_FRAMES)
        theirs.reset_states()
        y = theirs(x, controls)
        step(their_optimiser, (y - target).abs().mean() + stft(y, target))

    def our_step() -> None:
        nonlocal carried
        x, target = 0.1 * torch.randn(2, batch, 1, OUR_FRAMES)
        y, state = ours(x, controls, carried)
        step(our_optimiser, training_loss(y, target))
        carried = detach(state)

    their_optimiser, our_optimiser = torch.optim.AdamW(theirs.parameters(), 1e-4), make_optimiser(ours, 1e-4)
    spent: dict[Callable[[], None], list[float]] = {their_step: [], our_step: []}
    for number in range(rounds + 2):
        for run, of_run in spent.items():
            begin = time.process_time()
            run()
            if number >= 2:
                of_run.append(time.process_time() - begin)
    their_s, our_s = (statistics.median(of_run) for of_run in spent.values())
    quartiles = [statistics.quantiles(of_run, n=4) for of_run in spent.values()]
    spread = max((upper - lower) / middle for lower, middle, upper in quartiles)
    return 1e3 * their_s, 1e3 * our_s, (their_s / PEER_FRAMES) / (our_s / OUR_FRAMES), spread


def step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


if __name__ == "__main__":
    main()
