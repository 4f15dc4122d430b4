"""Flow matching with a transformer, sized for the pictures and the time there is.

What is known of these choices is told in docs/models/dit.md.
"""

from __future__ import annotations

from limner.api import Recipe, Situation
from limner.config import Optimiser, Options, Training
from limner.families.diffusion.flow_matching import FlowConfig
from limner.recipes.sizing import transformer


def build(situation: Situation) -> tuple[Options, Training]:
    """The loss and the optimiser of `flow`."""
    sizes, batch = transformer(situation)
    optimiser = Optimiser(name="muon", rate=3e-3, momentum=0.95, warmup=0.02, decay=0.5)
    return FlowConfig(network=sizes, prediction="residual", optimiser=optimiser), Training(batch=batch, average=0.05)


RECIPE = Recipe(
    name="dit",
    family="flow_matching",
    paper="Peebles & Xie 2022, Scalable Diffusion Models with Transformers (2212.09748)",
    summary="flow matching with a transformer; for long trainings",
    build=build,
)
