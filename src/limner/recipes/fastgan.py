"""FastGAN: for a few hundred pictures; its discriminator has to know a picture to judge it."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Optimiser, Options, Training
from limner.families.gan.config import Conditioning, GANConfig
from limner.recipes.playing import width

STEPS = 3000
"""Below this many steps, narrower networks learn more."""

ADAM = Optimiser(name="adam", rate=2e-4, betas=(0.5, 0.999), decay=0.3)


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's settings, with augmentation whatever the number of pictures; labels by projection."""
    batch = 16
    conditioning: Conditioning = "projection" if situation.spec.attributes else "none"
    model = GANConfig(
        architecture="fastgan",
        conditioning=conditioning,
        latent=128,
        width=width(situation, batch, 6.0, STEPS, (64, 48, 32, 24, 16)),
        loss="hinge",
        augmentation=("colour", "translation", "cutout"),
        generator_optimiser=ADAM,
        discriminator_optimiser=ADAM,
    )
    return model, Training(batch=batch)


RECIPE = Recipe(
    name="fastgan",
    family="gan",
    paper="Liu et al. 2021, arXiv 2101.04775",
    summary="for a few hundred pictures: coarse features gate fine ones, D paints real pictures again",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 14.4, "floor": 1.5, "commit": "62a3c73"},),
)
