"""One Gaussian over all pixels."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.baselines.gaussian import Gaussian, GaussianConfig
from limner.recipes.looking import looks


def build(situation: Situation) -> tuple[Options, Training]:
    """Fitted in closed form, whatever the budget."""
    return GaussianConfig(), looks(situation, Gaussian.passes)


RECIPE = Recipe(
    name="gaussian",
    family="gaussian",
    paper="Ledoit & Wolf 2004, Journal of Multivariate Analysis 88(2)",
    summary="one Gaussian with full covariance; in seconds",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 342.8, "floor": 1.5, "commit": "e23964c"},),
)
