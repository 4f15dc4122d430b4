"""The default: flow matching with a small UNet, sized for the pictures and the time there is.

What was measured for these choices is told in docs/models/flow.md.
"""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Optimiser, Options, Training
from limner.families.diffusion.flow_matching import FlowConfig
from limner.recipes.sizing import unet


def build(situation: Situation) -> tuple[Options, Training]:
    """Muon, and a network that says what z does not tell."""
    network, batch = unet(situation)
    optimiser = Optimiser(name="muon", rate=3e-3, momentum=0.95, warmup=0.02, decay=0.5)
    return FlowConfig(unet=network, prediction="residual", optimiser=optimiser), Training(batch=batch, average=0.05)


RECIPE = Recipe(
    name="flow",
    family="flow_matching",
    paper="Lipman et al. 2022, Flow Matching for Generative Modeling (2210.02747)",
    summary="flow matching with a small UNet; the best pictures per minute",
    build=build,
)
