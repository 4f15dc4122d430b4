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
    sizes, batch = unet(situation)
    optimiser = Optimiser(name="muon", rate=3e-3, momentum=0.95, warmup=0.02, decay=0.5)
    return FlowConfig(network=sizes, prediction="residual", optimiser=optimiser), Training(batch=batch, average=0.05)


RECIPE = Recipe(
    name="flow",
    family="flow_matching",
    paper="Lipman et al. 2022, Flow Matching for Generative Modeling (2210.02747)",
    summary="flow matching with a small UNet; the best pictures per minute",
    build=build,
    scores=(
        {"data": "MNIST", "size": 28, "budget": "10m", "fd": 2.2, "floor": 1.5, "commit": "d0848ab"},
        {"data": "CIFAR-10", "size": 32, "budget": "10m", "fd": 12.5, "floor": 1.6, "commit": "d0848ab"},
        {"data": "avatars", "size": 32, "budget": "10m", "fd": 5.4, "floor": 3.2, "commit": "1933e34"},
        {"data": "avatars", "size": 64, "budget": "10m", "fd": 11.0, "floor": 1.8, "commit": "1933e34"},
        {"data": "avatars", "size": 64, "budget": "30m", "fd": 4.7, "floor": 1.8, "commit": "c2d66d6"},
    ),
)
