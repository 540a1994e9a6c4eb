"""AdamW with the groups the models need, made by name, and the course of the learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn

from .recipe import ALL, CONSTANT, MATRICES, ONE_CYCLE
from .s4d import S4D

RISE = 0.1  # of a cycle is spent getting up to the learning rate


def make_optimiser(
    model: nn.Module,
    learning_rate: float,
    s4d_learning_rate: float | None = None,
    *,
    weight_decay: float = 0.01,
    decayed: str = MATRICES,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
) -> torch.optim.AdamW:
    """AdamW with a group for what decays, for what does not, and for S4D, with its own learning rate where one is given
    and no decay unless `decayed` is all. Frozen parameters are left out."""
    groups = parameter_groups(model, decayed)
    settings = {
        "decayed": (learning_rate, weight_decay),
        "undecayed": (learning_rate, 0.0),
        "s4d": (s4d_learning_rate or learning_rate, weight_decay if decayed == ALL else 0.0),
    }
    return torch.optim.AdamW(
        [
            {"name": name, "params": list(groups[name].values()), "initial_lr": rate, "lr": rate, "weight_decay": decay}
            for name, (rate, decay) in settings.items()
        ],
        betas=betas,
        eps=epsilon,
    )


def parameter_groups(model: nn.Module, decayed: str = MATRICES) -> dict[str, dict[str, nn.Parameter]]:
    """Trainable parameters by group and name: decayed, undecayed, s4d. With `matrices`, weights of linear, convolution
    and recurrent layers decay; biases, PReLU slopes and residual scales do not."""
    in_s4d = {id(p) for module in model.modules() if isinstance(module, S4D) for p in module.parameters()}
    groups: dict[str, dict[str, nn.Parameter]] = {"decayed": {}, "undecayed": {}, "s4d": {}}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            weight = name.rsplit(".", 1)[-1].startswith("weight") and parameter.ndim >= 2
            decays = weight or decayed != MATRICES
            groups["s4d" if id(parameter) in in_s4d else "decayed" if decays else "undecayed"][name] = parameter
    return groups


def set_learning_rates(optimiser: torch.optim.Optimizer, scale: float) -> None:
    """Every group at `scale` of its own learning rate."""
    for group in optimiser.param_groups:
        group["lr"] = scale * group["initial_lr"]


def gradient_norm(model: nn.Module, held_at: float) -> torch.Tensor:
    """The norm of all gradients together; they are scaled down to `held_at` where it is above that, unless it is 0."""
    return nn.utils.clip_grad_norm_(model.parameters(), held_at or math.inf)


def freeze_norms(model: nn.Module) -> None:
    """Let batch normalisations use their running statistics, and leave them as they are."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eval()


def scale_now(schedule: str, spent: float, plateau: float) -> float:
    """What part of the learning rate applies after `spent` (0 to 1) of the budget."""
    return one_cycle(spent) if schedule == ONE_CYCLE else 1.0 if schedule == CONSTANT else plateau


def one_cycle(spent: float) -> float:
    """Fraction of the learning rate after `spent` (0 to 1) of the budget: a rise from 1/20, half a cosine to 1/100."""
    spent = min(spent, 1.0)
    if spent < RISE:
        return 0.05 + 0.95 * spent / RISE
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (spent - RISE) / (1 - RISE)))
