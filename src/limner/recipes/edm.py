"""Diffusion with a preconditioned denoiser: any noise level, few steps, a likelihood.

What was measured for these choices is told in docs/models/edm.md.
"""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Optimiser, Options, Training
from limner.families.diffusion.edm import EDMConfig
from limner.recipes.sizing import unet


def build(situation: Situation) -> tuple[Options, Training]:
    """The paper's noise levels and preconditioning with the small UNet and the optimiser of `flow`."""
    sizes, batch = unet(situation)
    optimiser = Optimiser(name="muon", rate=3e-3, momentum=0.95, warmup=0.02, decay=0.5)
    return EDMConfig(network=sizes, optimiser=optimiser), Training(batch=batch, average=0.05)


RECIPE = Recipe(
    name="edm",
    family="edm",
    paper="Karras et al. 2022, Elucidating the Design Space of Diffusion-Based Generative Models (2206.00364)",
    summary="a preconditioned denoiser for any noise level; few steps, codes, a likelihood",
    build=build,
)
