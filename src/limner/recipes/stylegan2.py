"""StyleGAN2: weights scaled by styles; coarse and fine of two pictures can be mixed."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.families.gan.options import Regularisers
from limner.recipes.playing import adam, changes, squares, width

STEPS = 2000
"""Below this many steps, narrower networks learn more."""

RATE = 1e-2
"""2e-3 in the paper, for a thousand times the steps: weights of equalised layers are of size 1, and a step is small."""


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's loss and lazy penalties, on pictures of this size; labels choose styles where there are any."""
    spec, batch = situation.spec, 32
    conditioning: Conditioning = "style" if spec.attributes else "none"
    model = GANConfig(
        architecture="stylegan2",
        conditioning=conditioning,
        latent=128,
        width=width(situation, batch, 2.6, STEPS, (64, 48, 32, 24, 16)),
        patch=squares(situation),
        loss="non-saturating",
        r1=1e-4 * spec.height * spec.width,
        penalty_every=16,
        regularisers=Regularisers(path_length=2.0, path_every=8),
        augmentation=changes(situation),
        generator_optimiser=adam(RATE),
        discriminator_optimiser=adam(RATE),
    )
    return model, Training(batch=batch)


RECIPE = Recipe(
    name="stylegan2",
    family="stylegan",
    paper="Karras et al. 2020, arXiv 1912.04958",
    summary="styles scale the weights of each layer; they can be mixed, truncated and walked through",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 5.2, "floor": 1.5, "commit": "eae6b92"},),
)
