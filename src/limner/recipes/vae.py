"""Variational autoencoder: codes that can be edited, a likelihood, stable training; pictures are smooth."""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Options, Training
from limner.families.vae.vae import VAEConfig


def build(situation: Situation) -> tuple[Options, Training]:
    """Residual convolutions, a discretised logistic likelihood of learnt scale, a learnt prior."""
    return VAEConfig(), Training(batch=64)


RECIPE = Recipe(
    name="vae",
    family="vae",
    paper="Kingma & Welling 2014, arXiv 1312.6114; Rybkin et al. 2021, arXiv 2006.13202",
    summary="codes that can be decoded, edited and scored; stable, quick, smooth pictures",
    build=build,
)
