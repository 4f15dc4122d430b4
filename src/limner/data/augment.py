"""Changes to whole batches that keep a picture a picture. Off unless a recipe or a person asks."""

from __future__ import annotations

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor

from limner.draws import TurnDraws
from limner.errors import UserError


class Augment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may happen to a training picture, each drawn from (seed, step, turn).

    flip     mirror left and right, with this probability (0.5 is usual; wrong for writing).
    shift    move by up to this share of the side in each direction, whole pixels, edges repeated.
    crop     cut out down to this share of the sides (1: nothing) and scale back.
    turn     rotate by up to so many degrees, edges repeated.
    """

    flip: float = 0.0
    shift: float = 0.0
    crop: float = 1.0
    turn: float = 0.0

    def __post_init__(self) -> None:
        ranges = {"flip": (0.0, 1.0), "shift": (0.0, 0.5), "crop": (0.1, 1.0), "turn": (0.0, 180.0)}
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise UserError(f"augment.{name} is {getattr(self, name)}: give {low:g} to {high:g}")

    @property
    def active(self) -> bool:
        return bool(self.flip or self.shift or self.crop < 1 or self.turn)

    def __call__(self, pictures: Tensor, draws: TurnDraws) -> Tensor:
        """Changed pictures (b, C, H, W) of the same shape and range."""
        if self.flip:
            mirrored = draws.uniform("flip").view(-1, 1, 1, 1) < self.flip
            pictures = torch.where(mirrored, pictures.flip(-1), pictures)
        if self.shift:
            pictures = _shifted(pictures, self.shift, draws.uniform("shift", 2))
        if self.crop < 1 or self.turn:
            pictures = _warped(pictures, self.crop, self.turn, draws.uniform("crop", 3), draws.uniform("turn"))
        return pictures


def _shifted(pictures: Tensor, share: float, drawn: Tensor) -> Tensor:
    """Moved by whole pixels, so that nothing is blurred."""
    b, _, height, width = pictures.shape
    most = torch.tensor([round(share * height), round(share * width)])
    by = torch.floor(drawn * (2 * most + 1)).long() - most  # (b, 2)
    rows = (torch.arange(height) - by[:, :1]).clamp(0, height - 1)  # (b, H)
    columns = (torch.arange(width) - by[:, 1:]).clamp(0, width - 1)  # (b, W)
    return pictures[torch.arange(b)[:, None, None], :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def _warped(pictures: Tensor, crop: float, degrees: float, place: Tensor, angle: Tensor) -> Tensor:
    """Cut out (never beyond the edge), turned, and sampled bilinearly."""
    b, _, height, width = pictures.shape
    scale = 1 - (1 - crop) * place[:, 0]
    centre = (1 - scale)[:, None] * (2 * place[:, 1:] - 1)
    radians = (2 * angle - 1) * degrees * torch.pi / 180
    cos, sin = torch.cos(radians) * scale, torch.sin(radians) * scale
    ratio = height / width  # the grid's units differ along the sides
    matrix = torch.stack(
        [torch.stack([cos, -sin * ratio, centre[:, 0]], 1), torch.stack([sin / ratio, cos, centre[:, 1]], 1)], 1
    )
    grid = F.affine_grid(matrix, [b, 1, height, width], align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
