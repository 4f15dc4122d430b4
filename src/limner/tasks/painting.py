"""What tasks that look into the painting have in common: pictures by number, as `limn sample` numbers them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from limner.api import Condition, Generator
from limner.config import convert
from limner.draws import PictureDraws, layers_draw_from
from limner.tasks.sample import labels_of


def sampling_of(model: Generator, given: Mapping[str, Any], owner: str) -> Any:
    """The model's own sampling options, those in `given` and its defaults. Raises `UserError` for impossible ones."""
    return convert({key: value for key, value in given.items() if value is not None}, model.Sampling, owner)


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
