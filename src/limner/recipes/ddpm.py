"""Denoising diffusion as it became known: a thousand noise levels, ancestral or DDIM sampling, a bound in bits.

What was measured for these choices is told in docs/models/ddpm.md.
"""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Optimiser, Options, Training
from limner.families.diffusion.ddpm import DDPMConfig
from limner.recipes.sizing import unet


def build(situation: Situation) -> tuple[Options, Training]:
    """The cosine schedule, which wastes fewer levels on small pictures, and the variance learnt along.

    A small network has a hard time copying noise to the last digit, which the paper's prediction asks of it; the
    velocity, near pure noise, is the picture but for its sign.
    """
    sizes, batch = unet(situation)
    optimiser = Optimiser(name="muon", rate=3e-3, momentum=0.95, warmup=0.02, decay=0.5)
    model = DDPMConfig(network=sizes, schedule="cosine", prediction="velocity", variance="learned", optimiser=optimiser)
    return model, Training(batch=batch, average=0.05)


RECIPE = Recipe(
    name="ddpm",
    family="ddpm",
    paper="Ho et al. 2020, arXiv 2006.11239; Nichol & Dhariwal 2021, arXiv 2102.09672",
    summary="denoising diffusion over a thousand levels; a likelihood bound, ancestral and DDIM sampling",
    build=build,
    scores=(
        {"data": "MNIST", "size": 28, "budget": "10m", "fd": 2.8, "floor": 1.5, "commit": "828a22a"},
        {"data": "CIFAR-10", "size": 32, "budget": "10m", "fd": 16.5, "floor": 1.6, "commit": "828a22a"},
    ),
)
