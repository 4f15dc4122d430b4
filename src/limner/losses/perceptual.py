"""Pictures compared by what a network knows of them, rather than by their values."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn


def perceptual(features: Callable[[Tensor], Tensor], found: Tensor, wanted: Tensor) -> Tensor:
    """|f(found) - f(wanted)|^2 / |f(wanted)|^2 of each picture, (B,); the gradient goes to `found` alone.

    Lin & Yang 2023, "Diffusion model with perceptual loss", 2401.00110, take the denoiser itself for f.
    """
    with torch.no_grad():
        goal = features(wanted).float().flatten(1)
    error = (features(found).float().flatten(1) - goal).square().sum(1)
    return error / goal.square().sum(1).clamp_min(torch.finfo(goal.dtype).tiny)


@contextlib.contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Inside, what the module gives has no gradient in its weights."""
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)
