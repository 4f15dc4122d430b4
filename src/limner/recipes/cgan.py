"""CGAN: both networks are told the label, the generator beside its latent, the discriminator beside the picture."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.recipes.dcgan import convolutional


def build(situation: Situation) -> tuple[Options, Training]:
    """DCGAN's networks, labels joined to what either sees; without labels it is `dcgan`."""
    batch, width, changes = convolutional(situation)
    conditioning: Conditioning = "concatenate" if situation.spec.attributes else "none"
    return GANConfig(conditioning=conditioning, width=width, augmentation=changes), Training(batch=batch)


RECIPE = Recipe(
    name="cgan",
    family="gan",
    paper="Mirza & Osindero 2014, arXiv 1411.1784",
    summary="labels are joined to the latent and to the picture",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 27.3, "floor": 1.5, "commit": "eae6b92"},),
)
