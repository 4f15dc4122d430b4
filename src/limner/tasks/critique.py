"""What a discriminator thinks of any picture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from limner.api import Critiques, Generator, needs
from limner.data.pixels import to_float

BATCH = 64


def critique(
    model: Generator, pixels: np.ndarray, labels: np.ndarray | None = None, others: Iterable[str] = ()
) -> np.ndarray:
    """Scores (n,) of pixels (n, H, W, C): higher is more like the training pictures.

    Each is a function of its own picture. What one number means depends on the game that the discriminator was trained
    in; only scores of one run can be compared.

    Args:
        labels: (n, A), what each picture is to be judged as; -1 or None is left open.
        others: recipes that can, for the error.

    Raises:
        UserError: the model has no discriminator.
    """
    needs(model, "critique", others)
    assert isinstance(model, Critiques)
    found = []
    for first in range(0, len(pixels), BATCH):
        rows = slice(first, first + BATCH)
        x = to_float(pixels[rows]).to(model.device, model.dtype)
        asked = None if labels is None else torch.as_tensor(labels[rows], device=model.device)
        with torch.no_grad():
            found.append(model.critique(x, asked).float().cpu().numpy())
    return np.concatenate(found)
