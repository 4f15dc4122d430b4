"""BigGAN: every block is told the label and a part of the latent; truncation trades variety for quality."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.families.gan.options import Regularisers
from limner.recipes.playing import adam, changes, squares, width

STEPS = 2000
"""Below this many steps, narrower networks learn more."""


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's networks and regularisers; without its batches of 2,048, D takes one step for each of G."""
    batch = 32
    conditioning: Conditioning = "normalisation" if situation.spec.attributes else "none"
    model = GANConfig(
        architecture="biggan",
        conditioning=conditioning,
        latent=80,
        width=width(situation, batch, 3.0, STEPS, (64, 48, 32, 24)),
        patch=squares(situation),
        loss="hinge",
        regularisers=Regularisers(spectral=True, orthogonal=1e-4),
        augmentation=changes(situation),
        generator_optimiser=adam(1e-3, 0.999),
        discriminator_optimiser=adam(8e-4, 0.999),
    )
    return model, Training(batch=batch)


RECIPE = Recipe(
    name="biggan",
    family="sagan",
    paper="Brock et al. 2019, arXiv 1809.11096",
    summary="labels and a split latent in every block, orthogonal weights, truncation",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 13.2, "floor": 1.5, "commit": "b3ce165"},),
)
