"""Variational autoencoder: codes that can be edited, a likelihood, stable training; pictures are smooth."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.vae.vae import VAEConfig
from limner.nn.conv import pyramid
from limner.recipes.sizing import widest

BATCH = 64
STEPS = 8000
"""Below this many, narrower networks come further."""


def build(situation: Situation) -> tuple[Options, Training]:
    """Residual convolutions, a discretised logistic likelihood of learnt scale, a learnt prior."""
    spec = situation.spec
    pixels, levels = spec.height * spec.width, pyramid(spec.height, spec.width)[1]

    def seconds(width: int) -> float:
        return BATCH * pixels * max(1, levels) * 0.3e-6 * (width / 32) ** 1.7  # measured on two cores in bfloat16

    return VAEConfig(width=widest((64, 48, 32, 24), seconds, situation.budget, STEPS)), Training(batch=BATCH)


RECIPE = Recipe(
    name="vae",
    family="vae",
    paper="Kingma & Welling 2014, arXiv 1312.6114; Rybkin et al. 2021, arXiv 2006.13202",
    summary="codes that can be decoded, edited and scored; stable, quick, smooth pictures",
    build=build,
    scores=(
        {"data": "MNIST", "size": 28, "budget": "2m", "fd": 39.4, "floor": 1.5, "commit": "ef80ac7"},
        {"data": "MNIST", "size": 28, "budget": "10m", "fd": 4.7, "floor": 1.5, "commit": "f98180b"},
        {"data": "CIFAR-10", "size": 32, "budget": "10m", "fd": 388.0, "floor": 1.6, "commit": "b1d2dc2"},
    ),
)
