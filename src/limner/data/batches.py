"""Batches as a pure function of (seed, step): resumed, replayed and shared out without a state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from limner.config import Augment
from limner.data.augment import augmented
from limner.data.drawing import PackedPart, Part
from limner.data.packed import Pack
from limner.data.pixels import to_float
from limner.data.stream import Stream, StreamPart
from limner.draws import TurnDraws, seed_of
from limner.errors import UserError


class RawBatch(NamedTuple):
    """What `Drawn` is, as tensors; pictures: float32 (b, C, H, W) in [-1, 1]; frames: (b, T, C, H, W) of clips."""

    pictures: Tensor
    labels: Tensor | None
    index: Tensor  # type: ignore[assignment]  # as a name it is worth more than tuple.index
    epoch: Tensor
    frames: Tensor | None = None


class Batches:
    """Endless batches of training pictures.

    Every epoch is a new random order in which each picture comes exactly once; epochs follow each other without a gap,
    so a batch may straddle two, and a set smaller than a batch works. Batch number `step * turns + turn` is drawn for
    all `world` processes; each takes its own contiguous slice.

    Args:
        pack, indices: where the pictures come from; of a stream all that are not held out. columns, balance: as in
            `PackedPart`.

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
        columns: Sequence[str] | None = None,
        balance: str | None = None,
    ) -> None:
        self.batch, self.seed, self.turns = batch, seed, turns
        self.augment = augment or Augment()
        if batch < 1 or batch % world:
            raise UserError(f"a batch of {batch} cannot be shared by {world} processes: give a multiple of {world}")
        key = seed_of(seed, "order")
        self.part: Part = (
            StreamPart(pack, key, columns, balance)
            if isinstance(pack, Stream)
            else PackedPart(pack, indices, key, columns, balance)
        )
        self.share = batch // world
        self.first = rank * self.share

    def at(self, step: int, turn: int = 0) -> RawBatch:
        """The batch of a step's turn (0 <= turn < turns)."""
        pixels, labels, index, epoch = self.part.draw((step * self.turns + turn) * self.batch + self.first, self.share)
        draws = TurnDraws((self.seed, step, "augment", turn), self.batch, self.first, self.share)
        pictures, frames = to_float(pixels), None
        if pictures.ndim == 5:  # all frames of a clip are changed alike, as if they were channels of one picture
            frames = augmented(pictures.flatten(1, 2), self.augment, draws).view_as(pictures)
            pictures = frames[:, 0]
        else:
            pictures = augmented(pictures, self.augment, draws)
        numbers = None if labels is None else torch.from_numpy(labels)
        return RawBatch(pictures, numbers, torch.from_numpy(index), torch.from_numpy(epoch), frames)
