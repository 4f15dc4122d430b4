"""Copies of training pictures: to the bit, in features, and changed a little, such as by noise.

Noise moves a picture far in features, and pixel by pixel as far from its original as from any other. On a coarse grid
it is averaged away, and what tells is not how near the nearest training picture is (a blurred or an average picture is
near to many) but that it is much nearer than all others. Held-out pictures, some of which have a sibling in training as
well, say how often that is so by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from limner.evaluation.intervals import Floats
from limner.evaluation.looks import coarse, fingerprints
from limner.evaluation.neighbours import nearest_rows
from limner.evaluation.reference import read_blocks

if TYPE_CHECKING:
    from limner.data import Pack

_COPY = 0.4
"""A sample copies a training picture where it is nearer to it than this share of what its own neighbour is."""
_STANDS_OUT = 0.8
"""A sample has an original where its nearest training picture is nearer than this share of the second."""
_FEWEST = 100  # training pictures below which the second nearest says nothing
_LOOKED_AT = 1000  # pictures whose two nearest are searched for
_READ_BYTES = 1 << 30
_DISTANCES = 1 << 24  # held at a time


class Training:
    """What is compared with of training pictures, up to 1 GiB of them, taken in one pass.

    Attributes:
        numbers: in the pack (m,). prints: fingerprints. coarse: (m, D) float32, see `limner.evaluation.looks.coarse`.
    """

    def __init__(self, pack: Pack) -> None:
        self.numbers = pack.train[: max(1, _READ_BYTES // max(1, int(np.prod(pack.shape))))]
        self.prints: set[bytes] = set()
        parts = []
        for block in read_blocks(pack, self.numbers):
            self.prints.update(fingerprints(block))
            parts.append(coarse(block))
        self.coarse = np.concatenate(parts)


@dataclass(frozen=True)
class Siblings:
    """Of `looked_at` pictures, the share whose nearest training picture is much nearer than the second."""

    share: float
    looked_at: int

    def error(self, different: int) -> float:
        """Squared standard error of the share, with so many different pictures."""
        return self.share * (1 - self.share) / max(1, min(self.looked_at, different))


def siblings(training: Training, pictures: np.ndarray, numbers: np.ndarray | None = None) -> Siblings:
    """How many of the pictures seem to have been made of one training picture.

    The distance to the nearest in relation to that of the next, as in Carlini et al. 2023 (2301.13188, section 5.1).

    Args:
        pictures: (n, D) coarse. numbers: of the pictures in the pack, where training ones among them are not to find
            themselves.
    """
    if len(training.coarse) < _FEWEST:
        return Siblings(0.0, 0)
    chosen = np.unique(np.linspace(0, len(pictures) - 1, min(len(pictures), _LOOKED_AT)).astype(int))
    place = {int(number): row for row, number in enumerate(training.numbers)}
    known = torch.from_numpy(training.coarse)
    found = []
    block = max(1, _DISTANCES // len(known))
    for first in range(0, len(chosen), block):
        rows = chosen[first : first + block]
        apart = torch.cdist(torch.from_numpy(pictures[rows]), known)
        for line, row in enumerate(rows):
            if numbers is not None and int(numbers[row]) in place:
                apart[line, place[int(numbers[row])]] = torch.inf
        nearest, second = apart.topk(2, 1, largest=False).values.T
        found.append(nearest < _STANDS_OUT * second)
    return Siblings(float(torch.cat(found).double().mean()), len(chosen))


def copied(training: Training, prints: list[bytes], near: np.ndarray, apart: Floats, pool: np.ndarray) -> float:
    """Share of pictures that are training pictures to the bit, or nearer to one than that one is to any other.

    Args:
        prints: fingerprints. near, apart: row in `pool` and distance of each picture's nearest training picture.
        pool: features (m, D) of training pictures.
    """
    used, place = np.unique(near, return_inverse=True)
    own = nearest_rows(pool[used], pool, skip=used)[1]
    close = apart < _COPY * own[place]
    equal = np.array([one in training.prints for one in prints])
    return float((close | equal).mean())
