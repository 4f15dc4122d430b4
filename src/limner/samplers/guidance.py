"""Classifier-free guidance (Ho & Salimans 2022, 2207.12598)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Says = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""What a network says, (B, ...), at z (B, C, H, W), times (B,) and labels (B, A) or None."""


def guided(
    says: Says, z: Tensor, time: Tensor, labels: Tensor | None, scale: float, channels: int | None = None
) -> Tensor:
    """null + scale (asked - null), equation 6, of what is linear in the picture.

    That is all of what is said, or its first `channels`; the others are those of the labels asked for.
    """
    if labels is None or scale == 1:
        return says(z, time, labels)
    both = torch.cat([labels, torch.full_like(labels, -1)])
    asked, null = says(z.repeat(2, 1, 1, 1), time.repeat(2), both).chunk(2)
    mixture = null[:, :channels] + scale * (asked - null)[:, :channels]
    return mixture if channels is None else torch.cat([mixture, asked[:, channels:]], 1)
