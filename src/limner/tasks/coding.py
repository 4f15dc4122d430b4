"""Pictures to codes and back again, and how likely pictures are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from limner.api import Condition, Encodes, Generator, Scores, needs
from limner.data.pixels import to_float, to_uint8
from limner.draws import PictureDraws, layers_draw_from

BATCH = 64


def encode(
    model: Generator, pixels: np.ndarray, labels: np.ndarray | None = None, others: Iterable[str] = ()
) -> np.ndarray:
    """Codes (n, ...) float32 of pixels (n, H, W, C).

    Args:
        labels: (n, A), what each picture is told to be; -1 or None is left open. others: recipes that can, for the
            error.

    Raises:
        UserError: the model has no codes.
    """
    needs(model, "encode", others)
    assert isinstance(model, Encodes)
    found = [
        model.encode(_seen(model, pixels[rows]), _condition(model, labels, rows)).float().cpu().numpy()
        for rows in _batches(len(pixels))
    ]
    return np.concatenate(found)


def decode(
    model: Generator, codes: np.ndarray, labels: np.ndarray | None = None, others: Iterable[str] = ()
) -> np.ndarray:
    """Pixels (n, H, W, C) uint8 of codes (n, ...); arguments as for `encode`."""
    needs(model, "encode", others)
    assert isinstance(model, Encodes)
    found = []
    for rows in _batches(len(codes)):
        given = torch.as_tensor(codes[rows]).to(model.device, model.dtype)
        found.append(to_uint8(model.decode(given, _condition(model, labels, rows))))
    return np.concatenate(found)


def bits_per_dimension(model: Generator, pixels: np.ndarray, seed: int = 0, others: Iterable[str] = ()) -> np.ndarray:
    """(n,) bits per value of pixels (n, H, W, C); an upper bound unless the model's are exact.

    Args:
        seed: of what is drawn: picture i's number is a function of the seed, of i and of the picture.
        others: recipes that can, for the error.

    Raises:
        UserError: the model gives pictures no likelihood, or cannot be sure of these.
    """
    needs(model, "score", others)
    assert isinstance(model, Scores)
    found = []
    for rows in _batches(len(pixels)):
        draws = PictureDraws(seed, range(rows.start, rows.stop), device=model.device, dtype=model.dtype)
        with layers_draw_from(draws):
            found.append(model.bits_per_dimension(_seen(model, pixels[rows]), draws).detach().float().cpu().numpy())
    return np.concatenate(found)


def _batches(n: int) -> Iterator[slice]:
    return (slice(first, min(first + BATCH, n)) for first in range(0, n, BATCH))


def _seen(model: Generator, pixels: np.ndarray) -> Tensor:
    return to_float(pixels).to(model.device, model.dtype)


def _condition(model: Generator, labels: np.ndarray | None, rows: slice) -> Condition:
    return Condition(None if labels is None else torch.as_tensor(labels[rows], device=model.device))
