"""Coarse styles of some pictures, fine ones of others (Karras et al. 2019, arXiv 1812.04948, figure 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from limner.api import Generator, Styles, needs
from limner.data.pixels import to_uint8
from limner.errors import UserError
from limner.tasks.painting import as_painted
from limner.tasks.sample import options_of

WHITE = 255


def mix(
    model: Generator,
    coarse: Sequence[int],
    fine: Sequence[int],
    seed: int = 0,
    first: int | None = None,
    label: Any = None,
    options: Mapping[str, Any] | None = None,
    others: Iterable[str] = (),
) -> np.ndarray:
    """Pictures ((1 + C) (1 + F), H, W, channels) uint8, row by row: a blank one and the F fine ones, then in each row a
    coarse one and its mixtures.

    A mixture has the noise of its coarse picture.

    Args:
        coarse, fine: numbers of pictures, as `sample` numbers them under the seed.
        first: the first layer that takes the style of the fine one; None is half of the layers.
        label: of all pictures, as in `Request`. options: the model's own, such as truncation.
        others: recipes whose models can, for the error.

    Raises:
        UserError: a model without styles, no picture named, a layer that it does not have.
    """
    needs(model, "styles", others)
    assert isinstance(model, Styles)
    if not coarse or not fine:
        raise UserError("name at least one picture for the coarse and one for the fine styles")
    how = options_of(model, options or {})
    sources = [*coarse, *fine]
    with as_painted(model, seed, sources, label) as (draws, condition):
        styles = model.styles(draws, condition, how)  # (C + F, layers, D)
        painted = to_uint8(model.paint_styles(styles, draws))
    layers = styles.shape[1]
    first = layers // 2 if first is None else first
    if not 0 < first < layers:
        raise UserError(f"fine styles cannot begin at layer {first}: this model has {layers}, choose 1 to {layers - 1}")
    rows = [np.concatenate([np.full_like(painted[:1], WHITE), painted[len(coarse) :]])]
    for place in range(len(coarse)):
        with as_painted(model, seed, [coarse[place]] * len(fine)) as (noise, _):
            mixed = torch.cat([styles[place, :first].expand(len(fine), -1, -1), styles[len(coarse) :, first:]], 1)
            rows.append(np.concatenate([painted[place : place + 1], to_uint8(model.paint_styles(mixed, noise))]))
    return np.concatenate(rows)
