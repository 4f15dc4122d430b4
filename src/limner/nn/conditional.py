"""Normalisation whose scale and shift are told from outside: by a label, a part of a latent, a style."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limner.nn.norm import NormName, norm


class ConditionalNorm(nn.Module):
    """norm(x) (1 + scale) + shift, both linear in what is told (de Vries et al. 2017, 1707.00683, eq. 3 to 6).

    With a label's embedding: class-conditional normalisation. With instance normalisation and a style: AdaIN (Huang &
    Belongie 2017, 1703.06868, eq. 8), as StyleGAN has it.

    Args:
        told: length of the vector that is told. bias: whether scale and shift have a part that nothing is told about.
    """

    def __init__(self, kind: NormName, channels: int, told: int, bias: bool = False) -> None:
        super().__init__()
        self.told = told
        self.norm = norm(kind, channels, affine=False)
        self.film = nn.Linear(told, 2 * channels, bias=bias)
        nn.init.normal_(self.film.weight, 0.0, 0.02)
        if bias:
            nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """(B, C, H, W), (B, E) to (B, C, H, W)."""
        scale, shift = self.film(told).view(len(x), -1, *[1] * (x.dim() - 2)).chunk(2, 1)  # (B, C, 1, 1)
        x = self.norm(x)
        return torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype) + 1)


def told_norm(kind: NormName, channels: int, told: int) -> nn.Module:
    """A `ConditionalNorm` where there is something to tell, otherwise the norm with its own scale and shift."""
    return ConditionalNorm(kind, channels, told) if told else norm(kind, channels)


def through(layers: nn.ModuleList | nn.Sequential, x: Tensor, told: Tensor | None) -> Tensor:
    """x after all layers, one after the other; those with a `told` that is not 0 are told it."""
    for layer in layers:
        x = layer(x, told) if getattr(layer, "told", False) else layer(x)
    return x
