"""Pictures from a generator: picture i of a seed is the same whatever the batch and however many share the work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limner.api import Condition, Denoises, Generator
from limner.data.pixels import to_uint8
from limner.draws import PictureDraws, layers_draw_from

Spread = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]
"""Has orders painted, by one or by many, and gives the pictures in the same order."""


def generate(
    model: Generator,
    seed: int,
    indices: Sequence[int],
    labels: np.ndarray | None = None,
    options: Any = None,
    batch: int = 64,
    chunk: int = 0,
    spread: Spread | None = None,
) -> Iterator[np.ndarray]:
    """Blocks of uint8 pictures (b, H, W, C), in the order of `indices`.

    Args:
        seed, indices: picture i is a function of (seed, indices[i]) and its labels.
        labels: (n, A) int64, -1 for "anything"; None asks for nothing.
        options: of the model's `Sampling` type; None is its defaults.
        batch: pictures painted at a time.
        chunk: where not 0, every block is painted at exactly this size with each picture at a place of its own, so that
            results are equal to the bit for any `indices` (kernels round differently at different batch sizes).
        spread: who paints, where it is not this process alone: equal `Painter`s.
    """
    blocks = orders(indices, labels, batch, chunk)
    return map(Painter(model, seed, options, chunk), blocks) if spread is None else spread(blocks)


def orders(
    indices: Sequence[int], labels: np.ndarray | None = None, batch: int = 64, chunk: int = 0
) -> Iterator[np.ndarray]:
    """What is painted together, each an order for a `Painter`: (b, 1 + A) int64, a picture's index and its labels."""
    for places in _blocks(indices, batch, chunk):
        numbers = np.asarray([indices[place] for place in places], np.int64)[:, None]
        yield numbers if labels is None else np.concatenate([numbers, labels[places]], axis=1)


class Painter:
    """Paints orders; arguments as for `generate`, and of `Condition`."""

    def __init__(
        self, model: Generator, seed: int, options: Any = None, chunk: int = 0, weaker: Denoises | None = None
    ) -> None:
        self.model, self.seed, self.chunk, self.weaker = model, seed, chunk, weaker
        self.options = model.usual() if options is None else options

    @torch.no_grad()
    def __call__(self, order: np.ndarray) -> np.ndarray:
        """Pictures (b, H, W, C) uint8 of an order (b, 1 + A)."""
        chunk, asked, labels = self.chunk, order[:, 0], order[:, 1:] if order.shape[1] > 1 else None
        first = int(asked[0]) // chunk * chunk if chunk else 0
        painted = list(range(first, first + chunk)) if chunk else asked.tolist()
        rows = asked - first if chunk else np.arange(len(asked))
        chosen = None
        if labels is not None:
            chosen = np.repeat(labels[:1], len(painted), axis=0)  # rows that only fill the chunk
            chosen[rows] = labels
        was_training = self.model.training
        self.model.eval()
        try:
            return to_uint8(self._paint(painted, chosen))[rows]
        finally:
            self.model.train(was_training)

    def _paint(self, indices: list[int], labels: np.ndarray | None) -> Tensor:
        draws = PictureDraws(self.seed, indices, device=self.model.device, dtype=self.model.dtype)
        asked = None if labels is None else torch.as_tensor(labels, device=self.model.device)
        with layers_draw_from(draws):
            canvases = deque(self.model.paint(draws, Condition(asked, self.weaker), self.options), maxlen=1)
        assert canvases, "paint() must yield at least one canvas"
        return canvases[0]


def _blocks(indices: Sequence[int], batch: int, chunk: int) -> Iterator[list[int]]:
    """Places in `indices` that are painted together: runs of `batch`, or those that share an aligned chunk."""
    if not chunk:
        for first in range(0, len(indices), batch):
            yield list(range(first, min(first + batch, len(indices))))
        return
    block: list[int] = []
    seen: set[int] = set()
    for place, index in enumerate(indices):
        if block and (index // chunk != indices[block[0]] // chunk or index in seen):
            yield block
            block, seen = [], set()
        block.append(place)
        seen.add(index)
    if block:
        yield block
