"""Convolutional pieces: how a size is reached by doubling, padding and cropping, how many channels it has there."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor


def pyramid(height: int, width: int, smallest: int = 4) -> tuple[tuple[int, int], int]:
    """((start height, start width), doublings) from which a picture of any size is reached.

    The shorter side starts at `smallest` to 2 smallest - 1 pixels. Where the size is no multiple of 2**doublings the
    start is rounded up, and what is too large is cropped (`cropped`) or padded (`padded`) equally at both edges.
    """
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


def channels(width: int, widest: int, levels: int) -> list[int]:
    """Channels at each resolution from the picture's own inwards: doubled at each halving, never more than `widest`."""
    return [min(width * 2**level, widest) for level in range(levels + 1)]
