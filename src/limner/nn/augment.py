"""Differentiable changes of pictures, for a discriminator that must not learn a small set by heart.

Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training", arXiv 2006.10738: real and painted
pictures are both shown changed, and the gradient goes through the change to the generator. All numbers are each
picture's own draws.

What the generator learns to paint is unchanged pictures only if changed ones could be told from them: a random change
must not map two sets of pictures onto one (Karras et al. 2020, 2006.06676, section 2.1). A quarter turn by chance does,
unless it is left out often enough: `ERASING` are such changes, and need a probability below 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from limner.draws import Draws

SHIFT, HOLE = 1 / 8, 1 / 2
"""How far a picture is moved at most, and how long the sides of a hole are: shares of its height and width."""


def colour(x: Tensor, draws: Draws) -> Tensor:
    """Brightness by up to a quarter of the range, saturation times 0 to 2, contrast times 0.5 to 1.5."""
    brighter, fuller, harder = draws.uniform("colour", 3, 1, 1, 1).unbind(1)  # each (B, 1, 1, 1)
    x = x + (brighter - 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + 2 * fuller * (x - grey)
    middle = x.mean((1, 2, 3), keepdim=True)
    return middle + (0.5 + harder) * (x - middle)


def translation(x: Tensor, draws: Draws) -> Tensor:
    """Moved by up to an eighth each way; what comes in is mid-grey."""
    height, width = x.shape[-2:]
    down, right = (max(1, round(side * SHIFT)) for side in (height, width))
    room = torch.tensor([2 * down + 1, 2 * right + 1], device=x.device, dtype=x.dtype)
    top, left = (draws.uniform("translation", 2) * room).long().unbind(1)  # each (B,)
    padded = F.pad(x, (right, right, down, down))
    rows = top[:, None] + torch.arange(height, device=x.device)  # (B, H)
    columns = left[:, None] + torch.arange(width, device=x.device)  # (B, W)
    picture = torch.arange(len(x), device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cutout(x: Tensor, draws: Draws) -> Tensor:
    """A rectangle of half the height and width is mid-grey; it may lie partly outside."""
    height, width = x.shape[-2:]
    centre = draws.uniform("cutout", 2)  # (B, 2)
    covered = []
    for length, at in zip((height, width), centre.unbind(1), strict=True):
        places = torch.arange(length, device=x.device, dtype=x.dtype) + 0.5
        covered.append((places - at[:, None] * length).abs() < length * HOLE / 2)  # (B, length)
    hole = covered[0][:, None, :, None] & covered[1][:, None, None, :]
    return x.masked_fill(hole, 0.0)


def mirror(x: Tensor, draws: Draws) -> Tensor:
    """Left and right exchanged in half of the pictures."""
    swapped = draws.uniform("mirror", 1, 1, 1) < 0.5
    return torch.where(swapped, x.flip(3), x)


def turn(x: Tensor, draws: Draws) -> Tensor:
    """Turned by 0, 1, 2 or 3 quarters; upside down or not where height and width differ."""
    square = x.shape[-1] == x.shape[-2]
    quarters = (0, 1, 2, 3) if square else (0, 2)
    turned = torch.stack([x.rot90(k, (2, 3)) for k in quarters])  # (4, B, C, H, W)
    chosen = draws.integers("turn", len(quarters))
    return turned[chosen, torch.arange(len(x), device=x.device)]


Change = Literal["colour", "translation", "cutout", "mirror", "turn"]
CHANGES: dict[Change, Callable[[Tensor, Draws], Tensor]] = {
    "colour": colour,
    "translation": translation,
    "cutout": cutout,
    "mirror": mirror,
    "turn": turn,
}
ERASING: tuple[Change, ...] = ("mirror", "turn")
"""Changes after which nobody can say what was there before, where each picture is changed."""


def augment(x: Tensor, draws: Draws, changes: Sequence[Change], probability: float | Tensor = 1.0) -> Tensor:
    """Pictures (B, C, H, W) after the named `CHANGES`, one after the other, each with this probability."""
    for name in changes:
        changed = CHANGES[name](x, draws)
        if isinstance(probability, Tensor) or probability < 1:
            changed = torch.where(draws.uniform(f"whether {name}", 1, 1, 1) < probability, changed, x)
        x = changed
    return x
