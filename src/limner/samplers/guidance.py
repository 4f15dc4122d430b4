"""Pictures beyond what a network says: away from what it would paint unasked, or from what a weaker one would paint.

Classifier-free guidance (Ho & Salimans 2022, 2207.12598), in an interval of times (2404.07724); autoguidance (Karras et
al. 2024, 2406.02507).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from limner.api import Condition
from limner.noising.paths import Level, Target, convert, spread

Says = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""What a network says, (B, ...), at z (B, C, H, W), times (B,) and labels (B, A) or None."""


def strength(scale: float, time: float | Tensor, interval: tuple[float, float]) -> float | Tensor:
    """`scale` inside the interval and 1 outside, for one time or for times (B,)."""
    low, high = interval
    if scale == 1 or not isinstance(time, Tensor):
        return scale if scale == 1 or low <= time <= high else 1.0
    return torch.where((low <= time) & (time <= high), scale, 1.0)


def guided(
    says: Says, z: Tensor, time: Tensor, labels: Tensor | None, scale: float | Tensor, channels: int | None = None
) -> Tensor:
    """null + scale (asked - null), equation 6, of what is linear in the picture.

    That is all of what is said, or its first `channels`; the others are those of the labels asked for. A scale for each
    picture (B,) costs both looks whatever it is, so that no picture's arithmetic depends on its neighbours.
    """
    if labels is None or (not isinstance(scale, Tensor) and scale == 1):
        return says(z, time, labels)
    both = torch.cat([labels, torch.full_like(labels, -1)])
    asked, null = says(z.repeat(2, 1, 1, 1), time.repeat(2), both).chunk(2)
    factor = spread(scale, z) if isinstance(scale, Tensor) else scale
    mixture = null[:, :channels] + factor * (asked - null)[:, :channels]
    return mixture if channels is None else torch.cat([mixture, asked[:, channels:]], 1)


def autoguided(
    said: Tensor, target: Target, z: Tensor, level: Level, condition: Condition, scale: float | Tensor
) -> Tensor:
    """weaker + scale (said - weaker) (2406.02507, equation 3), in the target (B, C, H, W) that `said` is.

    The weaker model need not predict the same: it is asked for the picture behind z (B, C, H, W).
    """
    if condition.weaker is None or (not isinstance(scale, Tensor) and scale == 1):
        return said
    noisy = z / spread(level.alpha, z)
    x = condition.weaker.denoise(noisy, level.sigma / level.alpha, Condition(condition.labels))
    weaker = convert(x, z, level, "x", target)
    return weaker + (spread(scale, z) if isinstance(scale, Tensor) else scale) * (said - weaker)
