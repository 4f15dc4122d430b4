"""The denoising autoencoder, with a Gaussian fitted to its codes."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.vae.autoencoder import AutoencoderConfig
from limner.recipes.ae import BATCH, latent_for, width_for


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's masking of a quarter of the pixels; the networks of the plain autoencoder."""
    width, latent = width_for(situation), latent_for(situation)
    return AutoencoderConfig(width=width, latent=latent, corruption="masking", amount=0.25), Training(batch=BATCH)


RECIPE = Recipe(
    name="dae",
    family="autoencoder",
    paper="Vincent et al. 2008, Extracting and composing robust features with denoising autoencoders, ICML",
    summary="autoencoder that mends corrupted pictures, with a Gaussian fitted to its codes",
    build=build,
    scores=({"data": "MNIST", "size": 28, "budget": "2m", "fd": 159.1, "floor": 1.5, "commit": "e23964c"},),
)
