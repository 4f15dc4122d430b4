"""Convolutional pieces: how a size is reached by doubling, padding and cropping, residual blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from limner.nn.norm import NormName, norm

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear)


def pyramid(height: int, width: int, smallest: int = 4, patch: int = 1) -> tuple[tuple[int, int], int]:
    """((start height, start width), doublings) from which a picture of any size is reached, in squares of `patch`.

    The shorter side starts at `smallest` to 2 smallest - 1 pixels. Where the size is no multiple of 2**doublings the
    start is rounded up, and what is too large is cropped (`cropped`) or padded (`padded`) equally at both edges.
    """
    height, width = -(-height // patch), -(-width // patch)
    levels = max(0, int(math.log2(min(height, width) / smallest)))
    step = 2**levels
    return (-(-height // step), -(-width // step)), levels


def cropped(x: Tensor, height: int, width: int) -> Tensor:
    """The middle (height, width) of pictures (B, C, H, W)."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


def padded(x: Tensor, height: int, width: int) -> Tensor:
    """Pictures (B, C, H, W) in the middle of (height, width), their edges repeated outwards; `cropped` undoes it."""
    down, across = height - x.shape[-2], width - x.shape[-1]
    if not down and not across:
        return x
    return F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2), mode="replicate")


def margins(size: Sequence[int], multiple: int) -> tuple[int, int, int, int]:
    """(above, below, left, right): what brings (H, W) to multiples of `multiple`, half on each side."""
    more = [-side % multiple for side in size]
    return more[0] // 2, more[0] - more[0] // 2, more[1] // 2, more[1] - more[1] // 2


def framed(x: Tensor, multiple: int) -> Tensor:
    """Pictures (B, C, H, W) with zeros around them up to multiples of `multiple`; `cropped` undoes it."""
    above, below, left, right = margins(x.shape[2:], multiple)
    return F.pad(x, (left, right, above, below))


def channels(width: int, widest: int, levels: int) -> list[int]:
    """Channels at each resolution from the picture's own inwards: doubled at each halving, never more than `widest`."""
    return [min(width * 2**level, widest) for level in range(levels + 1)]


class ResidualBlock(nn.Module):
    """x + f(x) with f twice normalisation, SiLU and a 3x3 convolution (He et al. 2016, 1603.05027); starts as x."""

    def __init__(self, width: int, normalisation: NormName = "layer") -> None:
        super().__init__()
        last = nn.Conv2d(width, width, 3, 1, 1)
        nn.init.zeros_(last.weight)
        self.layers = nn.Sequential(
            norm(normalisation, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, 1, 1),
            norm(normalisation, width),
            nn.SiLU(),
            last,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        change: Tensor = self.layers(x)
        return x + change


def zeroed(layer: Layer) -> Layer:
    """The layer with weights and bias of zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
