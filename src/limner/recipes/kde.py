"""Kernel density on principal components."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.baselines.kde import KDE, KDEConfig
from limner.recipes.looking import looks


def build(situation: Situation) -> tuple[Options, Training]:
    """Fitted in closed form, whatever the budget."""
    return KDEConfig(), looks(situation, KDE.passes)


RECIPE = Recipe(
    name="kde",
    family="kde",
    paper="Parzen 1962, Annals of Mathematical Statistics 33(3)",
    summary="a kernel around every training picture, bandwidth by held-out likelihood",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 136.0, "floor": 1.5, "commit": "e23964c"},),
)
