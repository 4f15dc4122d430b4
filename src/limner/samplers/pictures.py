"""Pictures from a generator: picture i of a seed is the same whatever the batch and however many share the work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limner.api import Condition, Generator
from limner.data.pixels import to_uint8
from limner.draws import PictureDraws, layers_draw_from


@torch.no_grad()
def generate(
    model: Generator,
    seed: int,
    indices: Sequence[int],
    labels: np.ndarray | None = None,
    options: Any = None,
    batch: int = 64,
    chunk: int = 0,
) -> Iterator[np.ndarray]:
    """Blocks of uint8 pictures (b, H, W, C), in the order of `indices`.

    Args:
        seed, indices: picture i is a function of (seed, indices[i]) and its labels.
        labels: (n, A) int64, -1 for "anything"; None asks for nothing.
        options: of the model's `Sampling` type; None is its defaults.
        batch: pictures painted at a time.
        chunk: where not 0, every block is painted at exactly this size with each picture at a place of its own, so that
            results are equal to the bit for any `indices` (kernels round differently at different batch sizes).
    """
    options = model.Sampling() if options is None else options
    was_training = model.training
    model.eval()
    try:
        for places in _blocks(indices, batch, chunk):
            first = indices[places[0]] // chunk * chunk if chunk else 0
            painted = list(range(first, first + chunk)) if chunk else [indices[p] for p in places]
            rows = [indices[p] - first for p in places] if chunk else list(range(len(places)))
            chosen = None
            if labels is not None:
                chosen = np.repeat(labels[places[:1]], len(painted), axis=0)  # rows that only fill the chunk
                chosen[rows] = labels[places]
            yield to_uint8(_paint(model, seed, painted, chosen, options))[rows]
    finally:
        model.train(was_training)


def _paint(model: Generator, seed: int, indices: list[int], labels: np.ndarray | None, options: Any) -> Tensor:
    draws = PictureDraws(seed, indices, device=model.device, dtype=model.dtype)
    condition = Condition(None if labels is None else torch.as_tensor(labels, device=model.device))
    with layers_draw_from(draws):
        canvases = deque(model.paint(draws, condition, options), maxlen=1)
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
