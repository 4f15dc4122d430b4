"""Probabilistic principal components."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.baselines.ppca import PPCA, PPCAConfig
from limner.recipes.looking import looks


def build(situation: Situation) -> tuple[Options, Training]:
    """Fitted in closed form, whatever the budget."""
    return PPCAConfig(), looks(situation, PPCA.passes)


RECIPE = Recipe(
    name="ppca",
    family="ppca",
    paper="Tipping & Bishop 1999, J. R. Statist. Soc. B 61(3)",
    summary="probabilistic principal components: linear codes and a likelihood in seconds",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 371.9, "floor": 1.5, "commit": "e23964c"},),
)
