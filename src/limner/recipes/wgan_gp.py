"""WGAN-GP: a critic whose slope is held at 1 measures a distance, and its loss follows the pictures' quality."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Optimiser, Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.nn.conv import pyramid
from limner.recipes.sizing import widest

TURNS = 5
STEPS = 2000
"""Below this many steps of the generator, narrower networks paint better pictures than the paper's."""

ADAM = Optimiser(name="adam", rate=5e-4, betas=(0.0, 0.9))
"""The paper has 1e-4 and ten times the steps and more."""


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's algorithm 1 on DCGAN's networks, as wide as time allows; labels by projection where there are any."""
    spec = situation.spec
    pixels, levels = spec.height * spec.width, pyramid(spec.height, spec.width)[1]
    batch = 32 if situation.pictures < 1000 else 64

    def seconds(width: int) -> float:
        return TURNS * batch * pixels * levels * 0.7e-6 * (width / 64) ** 1.3  # measured, for two cores in bfloat16

    width = widest((64, 48, 32), seconds, situation.budget, STEPS)
    conditioning: Conditioning = "projection" if spec.attributes else "none"
    model = GANConfig(
        conditioning=conditioning,
        width=width,
        loss="wasserstein",
        gp=10.0,
        turns=TURNS,
        generator_optimiser=ADAM,
        discriminator_optimiser=ADAM,
    )
    return model, Training(batch=batch)


RECIPE = Recipe(
    name="wgan-gp",
    family="gan",
    paper="Gulrajani et al. 2017, arXiv 1704.00028",
    summary="a critic that measures how far the pictures are off; steady, and its loss can be read",
    build=build,
    scores=(
        {"data": "MNIST", "size": 28, "budget": "10m", "fd": 3.2, "floor": 1.5, "commit": "d1f5e79"},
        {"data": "CIFAR-10", "size": 32, "budget": "10m", "fd": 32.3, "floor": 1.6, "commit": "d1f5e79"},
    ),
)
