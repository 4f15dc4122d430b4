"""LSGAN: squares instead of logarithms, so that a picture which is taken for real still learns from being far off."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.recipes.dcgan import convolutional


def build(situation: Situation) -> tuple[Options, Training]:
    """The loss of eq. 9 (targets 0 and 1) on DCGAN's networks; labels by projection where there are any."""
    batch, width, changes = convolutional(situation)
    conditioning: Conditioning = "projection" if situation.spec.attributes else "none"
    model = GANConfig(conditioning=conditioning, width=width, loss="least-squares", augmentation=changes)
    return model, Training(batch=batch)


RECIPE = Recipe(
    name="lsgan",
    family="gan",
    paper="Mao et al. 2017, arXiv 1611.04076",
    summary="dcgan's networks with squared errors instead of logarithms",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 13.3, "floor": 1.5, "commit": "bf12237"},),
)
