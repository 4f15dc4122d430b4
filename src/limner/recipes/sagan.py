"""SAGAN: places far apart agree with each other, since either network can look from one to the other."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.families.gan.options import Regularisers
from limner.recipes.playing import adam, changes, squares, width

STEPS = 2000
"""Below this many steps, narrower networks learn more."""


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's game for minutes: G is free to take large steps; labels in G's norms and D's projection."""
    batch = 32
    conditioning: Conditioning = "normalisation" if situation.spec.attributes else "none"
    model = GANConfig(
        architecture="sagan",
        conditioning=conditioning,
        latent=128,
        width=width(situation, batch, 3.0, STEPS, (64, 48, 32, 24)),
        patch=squares(situation),
        loss="hinge",
        regularisers=Regularisers(spectral=True),
        augmentation=changes(situation),
        generator_optimiser=adam(1e-3, 0.9),
        discriminator_optimiser=adam(8e-4, 0.9),
    )
    return model, Training(batch=batch)


RECIPE = Recipe(
    name="sagan",
    family="sagan",
    paper="Zhang et al. 2019, arXiv 1805.08318",
    summary="self-attention, spectral normalisation, hinge loss and two learning rates",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 11.6, "floor": 1.5, "commit": "b3ce165"},),
)
