"""DCGAN: the first convolutional GAN that trained dependably, and still the one that tutorials print."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.dcgan import DCGANConfig


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's settings, labels by projection where there are any."""
    return DCGANConfig(conditioning="projection" if situation.spec.attributes else "none"), Training(batch=64)


RECIPE = Recipe(
    name="dcgan",
    family="dcgan",
    paper="Radford et al. 2016, arXiv 1511.06434",
    summary="two convolutional networks play against each other; sharp pictures in one pass",
    build=build,
)
