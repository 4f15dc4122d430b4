"""What can be measured of single pictures without a network: fine detail, noise, block edges, colour.

Everything is in grey levels of 8-bit pictures, so that a person can imagine a number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from torch.nn.functional import adaptive_avg_pool2d

from limner.data.pixels import to_float
from limner.evaluation.features import as_bytes
from limner.evaluation.intervals import Floats

_VALUES = 1500 * 32 * 32
"""Pixels that the numbers are taken from; larger pictures are fewer of them."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_FLAT = 0.3
_NORMAL = 6 * 0.385
"""For white noise of deviation 1: the Laplacian below has deviation 6, and its size's 30 % quantile is at 0.385."""
_BLOCK = 8  # pixels of a side of JPEG's blocks
_FIELDS = 8  # of a side of the coarse grid

NAMES = ("detail", "noise", "blocks", "brightness", "contrast", "red_green", "yellow_blue", "colourfulness")


class Looks:
    """Numbers of every `stride`-th picture, and of every one a fingerprint and what is left of it on a coarse grid.

    Args:
        total: how many pictures will come. pixels: of one of them.
    """

    def __init__(self, total: int, pixels: int) -> None:
        self.stride = max(1, -(-total * pixels // _VALUES))
        self._seen = 0
        self._rows: list[Floats] = []
        self._coarse: list[np.ndarray] = []
        self.prints: list[bytes] = []

    def add(self, block: np.ndarray) -> None:
        """The next pictures (b, H, W, C)."""
        pictures = _coloured(block)
        self.prints += fingerprints(pictures)
        self._coarse.append(coarse(pictures))
        chosen = pictures[-self._seen % self.stride :: self.stride]
        if len(chosen):
            self._rows.append(looks(chosen))
        self._seen += len(block)

    def of(self, blocks: Iterable[np.ndarray]) -> Looks:
        """All blocks added."""
        for block in blocks:
            self.add(block)
        return self

    @property
    def table(self) -> Floats:
        """(n, len(NAMES)), one row a picture that was looked at."""
        return np.concatenate(self._rows)

    @property
    def coarse(self) -> np.ndarray:
        """(N, D) of all pictures, see the function of that name."""
        return np.concatenate(self._coarse)

    @property
    def numbers(self) -> np.ndarray:
        """Which of all pictures the rows of `table` are (n,)."""
        return np.arange(0, self._seen, self.stride)


def looks(pictures: np.ndarray) -> Floats:
    """(n, len(NAMES)) of pictures (n, H, W, 3) uint8.

    detail: mean size of the Laplacian's square (Immerkær 1996), large for edges and texture. noise: standard
    deviation of white noise that would explain it in the flattest 30 % of the picture. blocks: how much larger steps
    between columns or rows are at multiples of eight than beside them, as a share of the mean step. The rest: mean and
    standard deviation of brightness, red minus green, yellow minus blue, and the range of a pixel's channels.
    """
    x = pictures.astype(np.float32)
    y = x @ _LUMA
    second = np.array([1, -2, 1], np.float32)
    rows = sum(w * y[:, i : y.shape[1] - 2 + i] for i, w in enumerate(second))
    laplacian = np.abs(sum(w * rows[:, :, i : y.shape[2] - 2 + i] for i, w in enumerate(second)))
    flat = laplacian.reshape(len(x), -1)
    rank = int(_FLAT * flat.shape[1])
    down, across = np.abs(np.diff(y, axis=1)), np.abs(np.diff(y, axis=2))
    step = (down.mean((1, 2)) + across.mean((1, 2))) / 2
    edges = (_at_blocks(down) + _at_blocks(across.swapaxes(1, 2))) / 2
    red, green, blue = x.mean((1, 2)).T
    columns = [
        flat.mean(1),
        np.partition(flat, rank, axis=1)[:, rank] / _NORMAL,
        edges / np.maximum(step, 0.5),
        y.mean((1, 2)),
        y.std((1, 2)),
        red - green,
        (red + green) / 2 - blue,
        (x.max(3) - x.min(3)).mean((1, 2)),
    ]
    return np.stack(columns, 1).astype(np.float64)


def coarse(pictures: np.ndarray) -> np.ndarray:
    """(n, D) float32: the mean colours of pictures (n, H, W[, C]) in 8 x 8 fields, in [-1, 1]."""
    return adaptive_avg_pool2d(to_float(_coloured(pictures)), _FIELDS).flatten(1).numpy()


def fingerprints(pictures: np.ndarray) -> list[bytes]:
    """One for each picture (n, H, W[, C]); equal pixels, equal fingerprints, whether grey or coloured."""
    return [hashlib.blake2b(one.tobytes(), digest_size=12).digest() for one in _coloured(pictures)]


def _at_blocks(steps: np.ndarray) -> np.ndarray:
    """(n,) mean over the edges of JPEG's blocks of a step (n, H - 1, W) minus the mean of its two neighbours."""
    at = np.arange(_BLOCK - 1, steps.shape[1] - 1, _BLOCK)
    if not len(at):
        return np.zeros(len(steps), np.float32)
    beside = (steps[:, at - 1] + steps[:, at + 1]) / 2
    found: np.ndarray = (steps[:, at] - beside).mean((1, 2))
    return found


def _coloured(pictures: np.ndarray) -> np.ndarray:
    x = as_bytes(pictures)
    return np.repeat(x, 3, axis=3) if x.shape[3] == 1 else x
