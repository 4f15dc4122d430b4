"""For tasks that look into the painting: pictures by number, as `limn sample` numbers them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from limner.api import Condition, Generator
from limner.draws import PictureDraws, layers_draw_from
from limner.tasks.sample import labels_of


@contextlib.contextmanager
def as_painted(
    model: Generator, seed: int, indices: Sequence[int], label: Any = None
) -> Iterator[tuple[PictureDraws, Condition]]:
    """The draws of pictures `indices` of a seed and what is asked of them, with the model as it is when it samples."""
    draws = PictureDraws(seed, indices, device=model.device, dtype=model.dtype)
    labels = labels_of(model.spec, label, max(indices) + 1)
    rows = None if labels is None else torch.as_tensor(labels[list(indices)], device=model.device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), layers_draw_from(draws):
            yield draws, Condition(rows)
    finally:
        model.train(was_training)
