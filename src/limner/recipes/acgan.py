"""ACGAN: the discriminator also tells which label a picture has, and the generator makes that easy."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.recipes.dcgan import convolutional


def build(situation: Situation) -> tuple[Options, Training]:
    """DCGAN's networks with a classifier on the discriminator's features; without labels it is `dcgan`."""
    batch, width, changes = convolutional(situation)
    conditioning: Conditioning = "auxiliary" if situation.spec.attributes else "none"
    return GANConfig(conditioning=conditioning, width=width, augmentation=changes), Training(batch=batch)


RECIPE = Recipe(
    name="acgan",
    family="gan",
    paper="Odena et al. 2017, arXiv 1610.09585",
    summary="the discriminator classifies as well, and the generator paints what is easy to classify",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 20.5, "floor": 1.5, "commit": "eae6b92"},),
)
