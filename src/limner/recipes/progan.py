"""ProGAN: small pictures first, each stage twice as large as the one before."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.recipes.playing import adam, changes, width

STEPS = 2000
"""Below this many steps, narrower networks learn more."""

RATE = 1.5e-2
"""1e-3 in the paper, for a thousand times the steps: weights of equalised layers are of size 1, and a step is small."""


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's loss and penalty; labels by projection where there are any."""
    batch = 32
    conditioning: Conditioning = "projection" if situation.spec.attributes else "none"
    model = GANConfig(
        architecture="progan",
        conditioning=conditioning,
        latent=128,
        # Of the budget half goes to the last stage, and the others cost a quarter or less.
        width=width(situation, batch, 6.0, STEPS, (64, 48, 32, 24, 16)),
        loss="wasserstein",
        gp=10.0,
        augmentation=changes(situation),
        generator_optimiser=adam(RATE),
        discriminator_optimiser=adam(RATE),
    )
    return model, Training(batch=batch)


RECIPE = Recipe(
    name="progan",
    family="gan",
    paper="Karras et al. 2018, arXiv 1710.10196",
    summary="grows from small pictures to large ones, what is new fading in",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 7.5, "floor": 1.5, "commit": "427fb6b"},),
)
