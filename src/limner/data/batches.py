"""Batches as a pure function of (seed, step): resumed, replayed and shared out without a state."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from limner.config import Augment
from limner.data.augment import augmented
from limner.data.packed import Pack
from limner.data.permutation import order
from limner.data.pixels import to_float
from limner.draws import TurnDraws, seed_of
from limner.errors import UserError

_AHEAD = 4096  # positions whose order is worked out at once


class RawBatch(NamedTuple):
    """pictures: float32 (b, C, H, W) in [-1, 1]; labels: int64 (b,) or None; index: int64 (b,), rows of the pack."""

    pictures: Tensor
    labels: Tensor | None
    index: Tensor  # type: ignore[assignment]  # as a name it is worth more than tuple.index


class Batches:
    """Endless batches over the pictures `indices` of a pack.

    Every epoch is a new random order in which each picture comes exactly once; epochs follow each other without a gap,
    so a batch may straddle two, and a set smaller than a batch works. Batch number `step * turns + turn` is drawn for
    all `world` processes; each takes its own contiguous slice.

    Raises UserError for no pictures, and for a batch that `world` does not divide.
    """

    def __init__(
        self,
        pack: Pack,
        indices: np.ndarray,
        batch: int,
        seed: int,
        augment: Augment | None = None,
        rank: int = 0,
        world: int = 1,
        turns: int = 1,
    ) -> None:
        self.pack, self.indices = pack, np.asarray(indices)
        self.batch, self.seed, self.turns = batch, seed, turns
        self.augment = augment or Augment()
        if not len(self.indices):
            raise UserError(f"no pictures to draw from in {str(pack.path)!r}")
        if batch < 1 or batch % world:
            raise UserError(f"a batch of {batch} cannot be shared by {world} processes: give a multiple of {world}")
        self.share = batch // world
        self.first = rank * self.share
        self._key = seed_of(seed, "order")
        self._ahead: tuple[int, np.ndarray] = (-1, np.empty(0, np.int64))

    def at(self, step: int, turn: int = 0) -> RawBatch:
        """The batch of a step's turn (0 <= turn < turns)."""
        rows = self.indices[self._positions((step * self.turns + turn) * self.batch + self.first)]
        pictures = to_float(self.pack.read(rows))
        draws = TurnDraws((self.seed, step, "augment", turn), self.batch, self.first, self.share)
        pictures = augmented(pictures, self.augment, draws)
        labels = self.pack.labels(rows)
        return RawBatch(pictures, None if labels is None else torch.from_numpy(labels), torch.from_numpy(rows))

    def _positions(self, start: int) -> np.ndarray:
        """Which of `indices` this process sees from position `start` on."""
        known, found = self._ahead
        if known < 0 or start < known or start + self.share > known + len(found):
            length = max(_AHEAD, 4 * self.batch)
            found = order(np.arange(start, start + length), len(self.indices), self._key)
            self._ahead = (start, found)
            known = start
        return found[start - known : start - known + self.share]
