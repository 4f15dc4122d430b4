"""WGAN: a critic whose weights are kept small measures a distance; the first that could be read while it trains."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Optimiser, Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.families.gan.options import Regularisers
from limner.recipes.dcgan import convolutional

TURNS = 5

RMSPROP = Optimiser(name="rmsprop", rate=2e-4, betas=(0.0, 0.99))
"""The paper has 5e-5 and a hundred times the steps. The second of `betas` is what squares are averaged with."""


def build(situation: Situation) -> tuple[Options, Training]:
    """Algorithm 1 on DCGAN's networks; `--set architecture=mlp --set doubling=true` has layers of 128, 256, 512."""
    batch, width, changes = convolutional(situation, TURNS)
    conditioning: Conditioning = "projection" if situation.spec.attributes else "none"
    model = GANConfig(
        conditioning=conditioning,
        width=width,
        loss="wasserstein",
        regularisers=Regularisers(clip_weights=0.01),
        turns=TURNS,
        augmentation=changes,
        generator_optimiser=RMSPROP,
        discriminator_optimiser=RMSPROP,
    )
    return model, Training(batch=batch)


RECIPE = Recipe(
    name="wgan",
    family="gan",
    paper="Arjovsky et al. 2017, arXiv 1701.07875",
    summary="a critic with clipped weights measures a distance; slow, and its loss can be read",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 82.5, "floor": 1.5, "commit": "bf12237"},),
)
