"""Sets of points with known densities: mixtures of Gaussians, some along a curve, and cells of even darkness.

Points lie in [-1, 1], like the values of pictures, so that the one loop takes them for pictures of one pixel.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from limner.data.pixels import to_float, to_uint16
from limner.draws import TurnDraws
from limner.errors import UserError, nearest

REACH = 1.25
"""Densities are looked at on [-REACH, REACH] in each dimension: what lies beyond is counted at the edge."""

_LARGEST = 160  # pixels of a picture's longer side that are told apart


class Target(ABC):
    """A distribution of points: draws from it, and its density.

    Attributes:
        dimensions: 1 or 2. modes: (K, dimensions), where it has peaks that can be counted.
        sigma: the deviation of a peak, or the length over which the density changes.
    """

    dimensions: int = 2
    modes: Tensor | None = None
    sigma: float = 0.03

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def sample(self, n: int, *key: int | str) -> Tensor:
        """(n, dimensions) points, a function of the key."""

    @abstractmethod
    def density(self, at: Tensor) -> Tensor:
        """(m,) float64 densities at points (m, dimensions)."""


class Mixture(Target):
    """Gaussians of one deviation, all as likely: at peaks that are counted, or along a curve.

    Args:
        centres: (K, dimensions). counted: whether the centres are modes rather than points of a curve.
    """

    def __init__(self, name: str, centres: Tensor, sigma: float, counted: bool = False) -> None:
        super().__init__(name)
        self.centres, self.sigma, self.dimensions = centres.double(), sigma, centres.shape[1]
        self.modes = self.centres if counted else None

    def sample(self, n: int, *key: int | str) -> Tensor:
        """See `Target.sample`."""
        draws = TurnDraws((self.name, *key), n)
        which = draws.integers("which", len(self.centres))
        points = self.centres[which] + self.sigma * draws.normal("where", self.dimensions)
        return points.float().clamp(-1, 1)

    def density(self, at: Tensor) -> Tensor:
        """See `Target.density`."""
        far = torch.cdist(at.double(), self.centres) / self.sigma  # (m, K)
        norm = len(self.centres) * (self.sigma * math.sqrt(2 * math.pi)) ** self.dimensions
        return (-far.square() / 2).exp().sum(1) / norm


class Cells(Target):
    """Even densities on the cells of a grid, in proportion to weights.

    Args:
        weights: (rows, columns), the first row on top. half: (width, height) / 2 of the whole grid.
    """

    def __init__(self, name: str, weights: Tensor, half: tuple[float, float]) -> None:
        super().__init__(name)
        self.weights = weights.double() / weights.double().sum()
        self.half = torch.tensor(half, dtype=torch.float64)
        rows, columns = weights.shape
        self.cell = 2 * self.half / torch.tensor([columns, rows], dtype=torch.float64)  # (2,) width and height

    def sample(self, n: int, *key: int | str) -> Tensor:
        """See `Target.sample`."""
        draws = TurnDraws((self.name, *key), n)
        total = self.weights.flatten().cumsum(0)
        which = torch.searchsorted(total, draws.uniform("which").double() * total[-1], right=True)
        which = which.clamp(max=self.weights.numel() - 1)
        columns = self.weights.shape[1]
        corner = torch.stack([which % columns, which // columns], 1).double()
        place = (corner + draws.uniform("where", 2)) * self.cell - self.half
        return (place * torch.tensor([1.0, -1.0])).float().clamp(-1, 1)

    def density(self, at: Tensor) -> Tensor:
        """See `Target.density`."""
        place = (at.double() * torch.tensor([1.0, -1.0], dtype=torch.float64) + self.half) / self.cell
        rows, columns = self.weights.shape
        column, row = place[:, 0].floor().long(), place[:, 1].floor().long()
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        found = self.weights[row.clamp(0, rows - 1), column.clamp(0, columns - 1)] / self.cell.prod()
        return torch.where(inside, found, 0.0)


def _gaussian() -> Target:
    return Mixture("gaussian", torch.tensor([[0.1]]), 0.22)


def _ring() -> Target:
    angle = torch.arange(8) * (math.pi / 4)
    return Mixture("ring8", 0.75 * torch.stack([angle.cos(), angle.sin()], 1), 0.03, counted=True)


def _grid() -> Target:
    line = torch.linspace(-0.8, 0.8, 5)
    return Mixture("grid25", torch.cartesian_prod(line, line), 0.03, counted=True)


def _moons() -> Target:
    angle = torch.linspace(0, math.pi, 200)
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], 1)
    return Mixture("moons", torch.cat([upper, -upper]) * 0.58, 0.035)


def _spiral() -> Target:
    # Even in length: the radius grows with the root of the share that is done.
    turn = torch.linspace(0.02, 1, 400).sqrt()
    angle = turn * 4 * math.pi
    return Mixture("spiral", torch.stack([angle.cos(), angle.sin()], 1) * turn[:, None] * 0.85, 0.025)


def _checkerboard() -> Target:
    place = torch.arange(4)
    return Cells("checkerboard", ((place[:, None] + place) % 2 == 0).float(), (0.9, 0.9))


TARGETS: dict[str, Callable[[], Target]] = {
    "gaussian": _gaussian,
    "ring8": _ring,
    "grid25": _grid,
    "moons": _moons,
    "spiral": _spiral,
    "checkerboard": _checkerboard,
}


def target(name: str) -> Target:
    """The distribution of a name, or that of a picture's darkness.

    Raises:
        UserError: neither a name nor a picture, or a picture without anything dark.
    """
    if name in TARGETS:
        return TARGETS[name]()
    path = Path(name)
    if not path.is_file():
        known = f"{nearest(name, TARGETS)} (known: {', '.join(TARGETS)}; or the path of a picture)"
        raise UserError(f"unknown points {name!r}{known}")
    return drawing(path)


def drawing(path: Path) -> Target:
    """Points as dense as a picture is dark; its brightest value has none. Transparent is white."""
    try:
        with Image.open(path) as opened:
            opened.thumbnail((_LARGEST, _LARGEST))
            picture = opened.convert("RGBA")
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is not a picture that can be read: {error}") from None
    white = Image.new("RGBA", picture.size, "white")
    grey = to_float(np.asarray(Image.alpha_composite(white, picture).convert("L"))[..., None])[0]  # (H, W)
    dark = grey.max() - grey
    if float(dark.max()) <= 0:
        raise UserError(f"{path} is of one colour: give a picture with something dark on it")
    size = 0.9 / max(picture.size)
    return Cells(path.name, dark, (picture.width * size, picture.height * size))


class PointPack:
    """What the loop's feed asks of a pack: `count` points as pictures (1, 1, dimensions) of 16 bits."""

    depth, frames = 16, 0
    classes: tuple[str, ...] = ()
    attributes: ClassVar[dict[str, Any]] = {}

    def __init__(self, points: Target, seed: int, count: int = 50_000) -> None:
        self.id = self.path = points.name
        self.shape = (points.dimensions, 1, 1)
        self.pixels = to_uint16(points.sample(count, seed, "training")[..., None, None])
        self.train = np.arange(count)
        self.validation = self.held_out = self.train[:0]

    @property
    def pictures(self) -> int:
        """Number of points."""
        return len(self.train)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """(n, 1, 1, dimensions) uint16."""
        return self.pixels[indices]

    def labels(self, indices: np.ndarray, column: str | None = None) -> None:
        """Points have none."""
