"""The mean picture, of everything or of a class."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.baselines.mean import Mean, MeanConfig
from limner.recipes.looking import looks


def build(situation: Situation) -> tuple[Options, Training]:
    """Fitted in closed form, whatever the budget."""
    return MeanConfig(), looks(situation, Mean.passes)


RECIPE = Recipe(
    name="mean",
    family="mean",
    paper="none",
    summary="the mean picture, one a class; the least there is to know",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 1480.4, "floor": 1.5, "commit": "e23964c"},),
)
