"""The convolutional GAN that tutorials print, done right: dense layer, reshape, interpolation, 5x5 kernels, dropout."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.recipes.dcgan import convolutional


def build(situation: Situation) -> tuple[Options, Training]:
    """As wide as time allows: 5x5 kernels over interpolated pictures cost three times what `dcgan` does."""
    batch, width, changes = convolutional(situation, turns=4)
    conditioning: Conditioning = "projection" if situation.spec.attributes else "none"
    model = GANConfig(architecture="dense", conditioning=conditioning, width=width, augmentation=changes)
    return model, Training(batch=batch)


RECIPE = Recipe(
    name="dcgan-dense",
    family="gan",
    paper="Radford et al. 2016, arXiv 1511.06434, as tutorials have it",
    summary="a dense layer, a reshape, interpolation with 5x5 kernels, dropout in the discriminator",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 10.5, "floor": 1.5, "commit": "bf12237"},),
)
