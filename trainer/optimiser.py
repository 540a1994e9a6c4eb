"""AdamW with the groups the models need, made by name, and the course of the learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn

from .s4d import S4D

WEIGHT_DECAY = 0.01  # on matrices and convolution kernels only
RISE = 0.1  # of a cycle is spent getting up to the learning rate


def make_optimiser(model: nn.Module, learning_rate: float, s4d_learning_rate: float | None = None) -> torch.optim.AdamW:
    """AdamW (0.9, 0.999, eps 1e-8). Weights of linear, convolution and LSTM layers decay; biases, PReLU slopes,
    residual scales and everything in S4D do not. S4D has its own learning rate where one is given. Frozen parameters
    are left out."""
    groups = parameter_groups(model)
    return torch.optim.AdamW(
        [
            {"params": list(groups["decayed"].values()), "lr": learning_rate, "weight_decay": WEIGHT_DECAY},
            {"params": list(groups["undecayed"].values()), "lr": learning_rate, "weight_decay": 0.0},
            {"params": list(groups["s4d"].values()), "lr": s4d_learning_rate or learning_rate, "weight_decay": 0.0},
        ]
    )


def parameter_groups(model: nn.Module) -> dict[str, dict[str, nn.Parameter]]:
    """Trainable parameters by group and name: decayed, undecayed, s4d."""
    in_s4d = {id(p) for module in model.modules() if isinstance(module, S4D) for p in module.parameters()}
    groups: dict[str, dict[str, nn.Parameter]] = {"decayed": {}, "undecayed": {}, "s4d": {}}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            weight = name.rsplit(".", 1)[-1].startswith("weight") and parameter.ndim >= 2
            groups["s4d" if id(parameter) in in_s4d else "decayed" if weight else "undecayed"][name] = parameter
    return groups


def one_cycle(spent: float) -> float:
    """Fraction of the learning rate after `spent` (0 to 1) of the budget: a rise from 1/20, half a cosine to 1/100."""
    spent = min(spent, 1.0)
    if spent < RISE:
        return 0.05 + 0.95 * spent / RISE
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (spent - RISE) / (1 - RISE)))
