"""Optimisers by name, and their rate as a function of progress."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from limner.config import Optimiser


def build(
    config: Optimiser, parameters: Iterable[nn.Parameter], dtype: torch.dtype = torch.float32
) -> torch.optim.Optimizer:
    """A torch optimiser for `config`; `dtype` is that of the losses' arithmetic, where an optimiser can use it."""
    held = list(parameters)
    rate, decay, eps, betas = config.rate, config.weight_decay, config.eps, config.betas
    match config.name:
        case "sgd":
            return torch.optim.SGD(held, lr=rate, weight_decay=decay)
        case "momentum":
            return torch.optim.SGD(held, lr=rate, momentum=config.momentum, weight_decay=decay)
        case "rmsprop":
            return torch.optim.RMSprop(held, lr=rate, alpha=betas[1], eps=eps, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(held, lr=rate, betas=betas, eps=eps, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(held, lr=rate, betas=betas, eps=eps, weight_decay=decay, fused=True)
        case "muon":
            from limner.training.muon import Muon

            return Muon(held, rate, config.momentum, betas, eps, decay, dtype)


def rate(config: Optimiser, fraction: float, scale: float = 1.0) -> float:
    """Learning rate at `fraction` (0 to 1) of the plan; `scale` is what roll-backs have lowered it to."""
    factor = scale
    if config.warmup and fraction < config.warmup:
        factor *= max(fraction / config.warmup, 1e-3)
    if config.decay and fraction > 1.0 - config.decay:
        left = (1.0 - fraction) / config.decay
        factor *= {"linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left), "sqrt": 1 - math.sqrt(1 - left)}[
            config.shape
        ]
    return config.rate * factor
