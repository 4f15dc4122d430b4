"""The plain autoencoder, with a Gaussian fitted to its codes."""

from __future__ import annotations

import math

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.vae.autoencoder import AutoencoderConfig
from limner.nn.conv import pyramid
from limner.recipes.sizing import widest

BATCH = 64
STEPS = 8000
"""Below this many, narrower networks come further."""


def width_for(situation: Situation) -> int:
    """Channels of the networks that there is time for."""
    spec = situation.spec
    pixels, levels = spec.height * spec.width, pyramid(spec.height, spec.width)[1]

    def seconds(width: int) -> float:
        return BATCH * pixels * max(1, levels) * 0.3e-6 * (width / 32) ** 1.7  # measured on two cores in bfloat16

    return widest((64, 48, 32, 24), seconds, situation.budget, STEPS)


def latent_for(situation: Situation) -> int:
    """Values of a code: the fewer, the better a Gaussian fits them."""
    return 32 if math.prod(situation.spec.shape) <= 32 * 32 else 64


def build(situation: Situation) -> tuple[Options, Training]:
    """Residual convolutions and the squared error."""
    return AutoencoderConfig(width=width_for(situation), latent=latent_for(situation)), Training(batch=BATCH)


RECIPE = Recipe(
    name="ae",
    family="autoencoder",
    paper="Hinton & Salakhutdinov 2006, Science 313",
    summary="plain autoencoder with a Gaussian fitted to its codes; sharp reconstructions, poor samples",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 153.0, "floor": 1.5, "commit": "e23964c"},),
)
