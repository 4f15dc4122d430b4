"""Training pictures in an endless order, as a pure function of a seed and a position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from limner.data.balance import Balanced, no_classes
from limner.data.packed import Pack
from limner.data.permutation import order
from limner.errors import UserError

_AHEAD = 4096  # positions whose order is worked out at once


class Drawn(NamedTuple):
    """pixels: (b, H, W, C), uint8 or uint16, of clips (b, T, H, W, C); labels: int64 (b,) or (b, columns), or None.

    index, epoch: int64 (b,), which picture of the set each is and how often it was shown before.
    """

    pixels: np.ndarray
    labels: np.ndarray | None
    index: np.ndarray  # type: ignore[assignment]
    epoch: np.ndarray


class Part(Protocol):
    """Training pictures in an endless order that is a pure function of a seed."""

    def draw(self, start: int, count: int) -> Drawn:
        """The pictures at positions `start` to `start + count - 1`."""
        ...


class PackedPart:
    """The pictures `indices` of a pack: a new random order in every epoch, or classes as often as `balance` says.

    columns: which labels to hand out, (b, columns); None for the classes alone, (b,).
    """

    def __init__(
        self,
        pack: Pack,
        indices: np.ndarray,
        key: int,
        columns: Sequence[str] | None = None,
        balance: str | None = None,
    ) -> None:
        self.pack, self.indices, self.columns = pack, np.asarray(indices), columns
        if not len(self.indices):
            raise UserError(f"no pictures to draw from in {str(pack.path)!r}")
        self._key = key
        self._balanced: Balanced | None = None
        if balance is not None:
            codes = pack.labels(self.indices)
            if codes is None:
                raise no_classes("--balance", balance)
            self._balanced = Balanced(codes, balance, key)
        self._start, self._ahead = 0, np.empty((2, 0), np.int64)

    def draw(self, start: int, count: int) -> Drawn:
        """See `Part.draw`."""
        places, epoch = self._order(start, count)
        rows = self.indices[places]
        pixels = self.pack.clips(rows) if self.pack.frames else self.pack.read(rows)
        return Drawn(pixels, self._labels(rows), rows, epoch)

    def _labels(self, rows: np.ndarray) -> np.ndarray | None:
        if self.columns is None:
            return self.pack.labels(rows)
        found = [self.pack.labels(rows, column) for column in self.columns]
        return np.stack(found, axis=1) if found else None  # type: ignore[arg-type]  # columns that are there

    def _order(self, start: int, count: int) -> np.ndarray:
        """(2, count): which of `indices`, and how often it was shown before; worked out for many positions at once."""
        if start < self._start or start + count > self._start + self._ahead.shape[1]:
            positions, n = np.arange(start, start + max(_AHEAD, 4 * count)), len(self.indices)
            balanced = self._balanced
            found = balanced.order(positions) if balanced else (order(positions, n, self._key), positions // n)
            self._start, self._ahead = start, np.stack(found)
        return self._ahead[:, start - self._start : start - self._start + count]
