"""R3GAN: two plain residual networks without tricks, kept steady by the loss and its penalties alone."""

from __future__ import annotations

from typing import Literal

from limner.api import Recipe, Situation
from limner.config import Optimiser, Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.nn.conv import pyramid
from limner.recipes.playing import changes
from limner.recipes.sizing import widest

STEPS = 3000
"""Below this many steps, narrower networks learn more."""

ADAM = Optimiser(name="adam", rate=1e-3, betas=(0.0, 0.9), warmup=0.02, decay=0.5)
"""The paper has 2e-4, falling to 5e-5, for batches of 512 and a thousand times the pictures.

A gradient far larger than those before moves each weight by 1 / sqrt(1 - 0.9) = 3 rates; with 0.99 it would be 10.
"""


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's loss and penalties on networks as wide as time allows; labels by projection where there are any."""
    spec = situation.spec
    side = max(spec.height, spec.width)
    patch: Literal[1, 2, 4] = 1 if side < 16 else 2 if side <= 80 else 4
    (height, width), levels = pyramid(spec.height, spec.width, patch=patch)
    places = height * width * 4**levels
    batch = 32

    def seconds(width: int) -> float:
        # Every resolution costs the same. Measured at 32 px, for two cores.
        return batch * places * (levels + 1) * 7e-6 * (width / 48) ** 1.8

    conditioning: Conditioning = "projection" if spec.attributes else "none"
    model = GANConfig(
        architecture="r3gan",
        conditioning=conditioning,
        latent=64,
        width=widest((96, 64, 48, 32), seconds, situation.budget, STEPS),
        patch=patch,
        group_width=0,
        loss="relativistic",
        r1=1.0,
        r2=1.0,
        penalty_every=4,
        augmentation=changes(situation),
        generator_optimiser=ADAM,
        discriminator_optimiser=ADAM,
    )
    return model, Training(batch=batch)


RECIPE = Recipe(
    name="r3gan",
    family="gan",
    paper="Huang et al. 2024, arXiv 2501.05441",
    summary="residual networks, a relativistic loss, penalties on both sides; the best of the adversarial ones",
    build=build,
    scores=(
        {"data": "MNIST", "size": 28, "budget": "10m", "fd": 6.7, "floor": 1.5, "commit": "cb8a610"},
        {"data": "CIFAR-10", "size": 32, "budget": "10m", "fd": 21.4, "floor": 1.6, "commit": "bf12237"},
        {"data": "CIFAR-10", "size": 32, "budget": "2m", "fd": 33.6, "floor": 1.6, "commit": "829cc31"},
    ),
)
