"""StyleGAN: a constant becomes a picture, each layer under a style."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.recipes.playing import adam, changes, squares, width

STEPS = 2000
"""Below this many steps, narrower networks learn more."""

RATE = 1e-2
"""1e-3 in the paper, for a thousand times the steps: weights of equalised layers are of size 1, and a step is small."""


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's loss and penalty, at one resolution; labels choose styles where there are any."""
    spec, batch = situation.spec, 32
    conditioning: Conditioning = "style" if spec.attributes else "none"
    model = GANConfig(
        architecture="stylegan",
        conditioning=conditioning,
        latent=128,
        width=width(situation, batch, 2.4, STEPS, (64, 48, 32, 24, 16)),
        patch=squares(situation),
        loss="non-saturating",
        r1=1e-4 * spec.height * spec.width,
        penalty_every=16,
        augmentation=changes(situation),
        generator_optimiser=adam(RATE),
        discriminator_optimiser=adam(RATE),
    )
    return model, Training(batch=batch)


RECIPE = Recipe(
    name="stylegan",
    family="stylegan",
    paper="Karras et al. 2019, arXiv 1812.04948",
    summary="a mapping network, a style and noise for each layer; styles can be mixed",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 4.7, "floor": 1.5, "commit": "eae6b92"},),
)
