"""What recipes of adversarial methods have in common: how wide, how labelled, what is shown to D."""

from __future__ import annotations

from typing import Literal

from limner.api import Situation
from limner.config import Optimiser
from limner.nn.augment import Change
from limner.recipes.sizing import widest

SMALL = 1000
"""Pictures that a discriminator learns by heart within minutes."""


PATCHED = 24
"""Side of the smallest pictures in which details of one pixel need no layer of their own."""


def changes(situation: Situation) -> tuple[Change, ...]:
    """What a discriminator is shown changed where pictures are few."""
    return ("colour", "translation", "cutout") if situation.pictures < SMALL else ()


def squares(situation: Situation) -> Literal[1, 2]:
    """The side of squares of pixels that are channels: from `PATCHED` on nothing is computed at the full size."""
    return 2 if min(situation.spec.height, situation.spec.width) >= PATCHED else 1


def width(situation: Situation, batch: int, microseconds: float, steps: int, widths: tuple[int, ...]) -> int:
    """The widest networks that leave `steps` steps.

    Args:
        microseconds: what a pixel of a picture's step costs at width 32, measured on two cores in bfloat16.
        widths: to choose from, widest first.
    """
    pixels = situation.spec.height * situation.spec.width

    def seconds(width: int) -> float:
        return batch * pixels * microseconds * 1e-6 * (width / 32) ** 1.8

    return widest(widths, seconds, situation.budget, steps)


def adam(rate: float, second: float = 0.99) -> Optimiser:
    """Adam without momentum, as penalised and normalised discriminators want it; falls to zero in the second half."""
    return Optimiser(name="adam", rate=rate, betas=(0.0, second), decay=0.5)
