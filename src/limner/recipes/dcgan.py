"""DCGAN: the first convolutional GAN that trained dependably, and still the one that tutorials print."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.dcgan import Conditioning, DCGANConfig

MODERATE = 600.0
"""Seconds that are planned for where no budget is given."""


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's settings, labels by projection where there are any.

    Large pictures in little time get half the paper's width, small sets half its batch: more steps are worth more.
    """
    spec, seconds = situation.spec, situation.budget or MODERATE
    width = 32 if max(spec.height, spec.width) > 32 and seconds <= 6 * MODERATE else 64
    conditioning: Conditioning = "projection" if spec.attributes else "none"
    return DCGANConfig(conditioning=conditioning, width=width), Training(batch=32 if situation.pictures < 1000 else 64)


RECIPE = Recipe(
    name="dcgan",
    family="dcgan",
    paper="Radford et al. 2016, arXiv 1511.06434",
    summary="two convolutional networks play against each other; sharp pictures in one pass",
    build=build,
)
