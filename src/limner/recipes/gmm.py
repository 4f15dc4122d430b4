"""A mixture of Gaussians on principal components."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.baselines.gmm import GMM, GMMConfig
from limner.recipes.looking import looks


def build(situation: Situation) -> tuple[Options, Training]:
    """Fitted in closed form, whatever the budget."""
    return GMMConfig(), looks(situation, GMM.passes)


RECIPE = Recipe(
    name="gmm",
    family="gmm",
    paper="Dempster et al. 1977, J. R. Statist. Soc. B 39(1)",
    summary="a mixture of Gaussians on principal components, by scikit-learn",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 251.9, "floor": 1.5, "commit": "e23964c"},),
)
