"""GAN: the original, two networks of layers over whole pictures."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.gan.config import GANConfig


def build(situation: Situation) -> tuple[Options, Training]:
    """Latents uniform on [-1, 1], dropout in the discriminator, labels unused, as in the paper (section 5).

    Two things are not the paper's: LeakyReLU instead of maxout, and batch normalisation in the generator, without which
    it paints a few pictures over and over.
    """
    model = GANConfig(architecture="mlp", prior="uniform", width=64, dropout=0.3)
    return model, Training(batch=min(64, max(4, situation.pictures)))


RECIPE = Recipe(
    name="gan",
    family="gan",
    paper="Goodfellow et al. 2014, arXiv 1406.2661",
    summary="the first: layers over whole pictures play against each other; to learn from, and for small pictures",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 43.8, "floor": 1.5, "commit": "c00a977"},),
)
