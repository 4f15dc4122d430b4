"""The networks of points: three hidden layers, and nothing that a single pixel has no use for."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from limner.nn.dropout import Dropout
from limner.nn.embed import sinusoid
from limner.nn.minibatch import Deviation, Discrimination, Minibatch

Beside = Literal["none", "deviation", "discrimination"]

DEPTH = 3
SHARPER = 4.0
"""Points are shown so many times as large: layers begin as smooth functions, and points have fine details."""

GROUP = 16
"""Points that a D with an eye on its minibatch sees side by side."""

FREQUENCIES = 32


def hidden(inputs: int, width: int, dropout: float = 0.0) -> nn.Sequential:
    """`DEPTH` hidden layers of `width` units."""
    found: list[nn.Module] = []
    for place in range(DEPTH):
        found += [nn.Linear(width if place else inputs, width), nn.SiLU()]
        found += [Dropout(dropout)] if dropout else []
    return nn.Sequential(*found)


def layers(inputs: int, outputs: int, width: int) -> nn.Sequential:
    """Hidden layers and what they come to."""
    return nn.Sequential(hidden(inputs, width), nn.Linear(width, outputs))


class Painter(nn.Module):
    """G: a latent (B, latent) to points (B, D, 1, 1)."""

    def __init__(self, latent: int, dimensions: int, width: int) -> None:
        super().__init__()
        self.layers = layers(latent, dimensions, width)

    def forward(self, z: Tensor) -> Tensor:
        """z (B, latent)."""
        found: Tensor = self.layers(z)
        return found[..., None, None]


class Critic(nn.Module):
    """D: points (B, D, 1, 1) or (B, D) to logits (B,), seen beside the others of their batch where `minibatch` says."""

    def __init__(self, dimensions: int, width: int, dropout: float, minibatch: Beside) -> None:
        super().__init__()
        self.hidden = hidden(dimensions, width, dropout)
        self.beside: Minibatch | None = None
        if minibatch != "none":
            self.beside = Deviation(GROUP) if minibatch == "deviation" else Discrimination(width, GROUP)
        self.score = nn.Linear(width + (self.beside.width if self.beside else 0), 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, D, 1, 1) or (B, D)."""
        features = self.hidden(SHARPER * x.flatten(1))
        if self.beside is not None:
            features = torch.cat([features, self.beside(features)], 1)
        found: Tensor = self.score(features)
        return found.squeeze(1)


class Guide(nn.Module):
    """Points (B, D, 1, 1) and a number (B,) that tells the noise level to what is predicted, (B, D, 1, 1)."""

    def __init__(self, dimensions: int, width: int) -> None:
        super().__init__()
        self.layers = layers(dimensions + FREQUENCIES, dimensions, width)

    def forward(self, z: Tensor, time: Tensor) -> Tensor:
        """z (B, D, 1, 1), time (B,) of a range of about 1."""
        told = sinusoid(time, FREQUENCIES, longest=100.0, scale=20.0).to(z.dtype)
        found: Tensor = self.layers(torch.cat([SHARPER * z.flatten(1), told], 1))
        return found[..., None, None]
