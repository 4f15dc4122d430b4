"""Changes of pictures of which the network is told, so that a small set lasts longer and none of them is painted.

Karras et al. 2022, "Elucidating the design space of diffusion-based generative models", 2206.00364, appendix F.2: what
was done to a picture is one more condition, and "nothing was done" is asked for in sampling. The change is one affine
map of places, so that a picture is sampled once, whatever was done to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from limner.draws import Draws
from limner.labels import FINE

TURN, ZOOM, STRETCH, SHIFT = math.radians(20), 0.3, 0.2, 1 / 8
"""The furthest: an angle, powers of two, and a share of height and width."""

Map = tuple[Tensor, Tensor]
"""Where a place of the changed picture is found in the picture: matrices (B, 2, 2) and steps (B, 2), x first.

Places count from the middle, for matrices in pixels and for steps in half widths and half heights."""


def _linear(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Map:
    matrix = torch.stack([torch.stack([a, b], 1), torch.stack([c, d], 1)], 1)
    return matrix, torch.zeros_like(matrix[:, 0])


def _mirror(amount: Tensor) -> Map:
    one, none = torch.ones_like(amount[:, 0]), torch.zeros_like(amount[:, 0])
    return _linear(1 - 2 * amount[:, 0], none, none, one)


def _turn(amount: Tensor) -> Map:
    angle = TURN * (2 * amount[:, 0] - 1)
    return _linear(angle.cos(), -angle.sin(), angle.sin(), angle.cos())


def _zoom(amount: Tensor) -> Map:
    scale, none = torch.exp2(ZOOM * (2 * amount[:, 0] - 1)), torch.zeros_like(amount[:, 0])
    return _linear(scale, none, none, scale)


def _stretch(amount: Tensor) -> Map:
    scale, none = torch.exp2(STRETCH * (2 * amount[:, 0] - 1)), torch.zeros_like(amount[:, 0])
    return _linear(scale, none, none, 1 / scale)


def _shift(amount: Tensor) -> Map:
    one, none = torch.ones_like(amount[:, 0]), torch.zeros_like(amount[:, 0])
    return _linear(one, none, none, one)[0], 2 * SHIFT * (2 * amount - 1)


@dataclass(frozen=True)
class Told:
    """A change: its map from amounts (B, K) in [0, 1], and of each amount how many values it has, 0 for a number."""

    map: Callable[[Tensor], Map]
    values: tuple[int, ...] = (0,)

    @property
    def unchanged(self) -> tuple[int, ...]:
        """The labels that say that nothing was done."""
        return tuple(0 if count else FINE // 2 for count in self.values)


ToldName = Literal["mirror", "turn", "zoom", "stretch", "shift"]
TOLD: dict[ToldName, Told] = {
    "mirror": Told(_mirror, (2,)),
    "turn": Told(_turn),
    "zoom": Told(_zoom),
    "stretch": Told(_stretch),
    "shift": Told(_shift, (0, 0)),
}


def values(names: Sequence[ToldName]) -> list[int]:
    """Of each label that tells of the named changes how many values it has, 0 for a number."""
    return [count for name in names for count in TOLD[name].values]


def unchanged(names: Sequence[ToldName], device: torch.device) -> Tensor:
    """The labels (1, K) of a picture that is as it was."""
    return torch.tensor([[code for name in names for code in TOLD[name].unchanged]], device=device)


def drawn(draws: Draws, names: Sequence[ToldName], probability: float) -> Tensor:
    """Labels (B, K) of changes drawn for each picture, each with this probability and as far as it comes."""
    found = []
    for name in names:
        none = torch.tensor(TOLD[name].unchanged, device=draws.device)
        count = torch.tensor([2 if values else FINE + 1 for values in TOLD[name].values], device=draws.device)
        code = (draws.uniform(name, len(none)) * count).long().minimum(count - 1)
        found.append(torch.where(draws.uniform(f"whether {name}", 1) < probability, code, none))
    return torch.cat(found, 1)


def changed(pictures: Tensor, names: Sequence[ToldName], labels: Tensor) -> Tensor:
    """Pictures (B, C, H, W) as labels (B, K) tell, each change on top of the one before; beyond an edge they mirror.

    A picture of which nothing is told stays to the bit what it was.
    """
    height, width = pictures.shape[2:]
    # From pixels to half widths and half heights: lengths across count by the width, those down by the height.
    ratio = pictures.new_tensor([[1.0, height / width], [width / height, 1.0]])
    matrix = torch.eye(2, device=pictures.device, dtype=pictures.dtype).expand(len(pictures), 2, 2)
    step = pictures.new_zeros(len(pictures), 2)
    for name, codes in zip(names, labels.split([len(TOLD[name].values) for name in names], 1), strict=True):
        count = torch.tensor([1 if values else FINE for values in TOLD[name].values], device=pictures.device)
        by, moved = TOLD[name].map(codes.to(pictures.dtype) / count)
        step = step + (matrix @ moved[:, :, None])[:, :, 0]
        matrix = matrix @ (by * ratio)
    grid = F.affine_grid(torch.cat([matrix, step[:, :, None]], 2), list(pictures.shape), align_corners=False)
    warped = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    touched = (labels != unchanged(names, labels.device)).any(1)
    return torch.where(touched[:, None, None, None], warped, pictures)
