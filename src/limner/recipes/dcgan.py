"""DCGAN: the first convolutional GAN that trained dependably, and still the one that tutorials print."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.nn.augment import Change
from limner.nn.conv import pyramid
from limner.recipes.playing import changes
from limner.recipes.sizing import widest

STEPS = 4000
"""Below this many, a narrower pair of networks paints better pictures than the paper's."""


def convolutional(situation: Situation, turns: int = 1) -> tuple[int, int, tuple[Change, ...]]:
    """(batch, width, augmentation) of convolutional networks of this kind, as wide as time allows.

    Small sets get half the paper's batch, since more steps are worth more, and augmentation, without which the
    discriminator learns them by heart: FD 23 instead of 118 on 315 faces at 64 px.
    """
    spec = situation.spec
    pixels, levels = spec.height * spec.width, pyramid(spec.height, spec.width)[1]

    shown = changes(situation)
    batch = 32 if shown else 64

    def seconds(width: int) -> float:
        # Measured on two cores in bfloat16; a step of D alone is two thirds of one of both.
        return (1 + (turns - 1) * 2 / 3) * batch * pixels * levels * 0.5e-6 * (width / 64) ** 1.8

    return batch, widest((64, 48, 32), seconds, situation.budget, STEPS // turns), shown


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's settings, as wide as time allows; labels by projection where there are any."""
    batch, width, shown = convolutional(situation)
    conditioning: Conditioning = "projection" if situation.spec.attributes else "none"
    return GANConfig(conditioning=conditioning, width=width, augmentation=shown), Training(batch=batch)


RECIPE = Recipe(
    name="dcgan",
    family="gan",
    paper="Radford et al. 2016, arXiv 1511.06434",
    summary="two convolutional networks play against each other; sharp pictures in one pass",
    build=build,
    scores=(
        {"data": "MNIST", "size": 28, "budget": "2m", "fd": 8.8, "floor": 1.5, "commit": "731ad13"},
        {"data": "MNIST", "size": 28, "budget": "10m", "fd": 9.0, "floor": 1.5, "commit": "2ce3eae"},
        {"data": "CIFAR-10", "size": 32, "budget": "10m", "fd": 26.7, "floor": 1.6, "commit": "2ce3eae"},
        {"data": "faces", "size": 64, "budget": "10m", "fd": 22.8, "floor": 17.3, "commit": "c30f2ae"},
    ),
)
