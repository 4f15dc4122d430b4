"""Autoguidance with perfect networks: of Gaussian pictures, two models' means are all that they disagree about."""

import pytest
import torch
from torch import nn

from limner.api import Condition, Spec
from limner.draws import PictureDraws
from limner.errors import UserError
from limner.families.diffusion.ddpm import DDPM, DDPMConfig
from limner.families.diffusion.edm import EDM, EDMConfig
from limner.families.diffusion.flow_matching import FlowConfig, FlowMatching
from limner.nn.unet import UNetConfig
from limner.noising.paths import Additive, convert, spread
from limner.noising.preconditioning import preconditioning

STD = 0.2
SPEC = Spec(channels=1, height=4, width=4)
SMALL = UNetConfig(patch=1, widths=(8,), blocks=(1,), embedding=16)


class Perfect(nn.Module):
    """What each method's network says of pictures whose values are all N(mean, STD^2)."""

    def __init__(self, model, mean):
        super().__init__()
        self.level, self.mean, self.edm = level_of(model), mean, isinstance(model, EDM)

    def forward(self, z, time, labels=None):
        level = self.level(time)
        if self.edm:
            known = preconditioning(level.sigma)
            z = z / spread(known.into, z)
        alpha, sigma = spread(level.alpha, z), spread(level.sigma, z)
        x = self.mean + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (z - alpha * self.mean)
        if self.edm:
            return (x - spread(known.skip, z) * z) / spread(known.out, z)
        return convert(x, z, level, "x", "velocity")


def level_of(model):
    if isinstance(model, EDM):
        return lambda time: Additive().at((4 * time).exp())
    if isinstance(model, DDPM):
        return lambda time: model.chain.at((time * model.chain.steps).round().long(), time)
    return model.path.at


def flow(mean):
    return ready(FlowMatching(FlowConfig(network=SMALL), SPEC), mean)


def edm(mean):
    return ready(EDM(EDMConfig(network=SMALL), SPEC), mean)


def ddpm(mean):
    return ready(DDPM(DDPMConfig(network=SMALL, prediction="velocity", schedule="cosine"), SPEC), mean)


def ready(model, mean):
    model.network = Perfect(model, mean)
    return model.double()


def painted(model, weaker=None, **options):
    draws = PictureDraws(0, range(64), dtype=torch.float64)
    *_, last = model.paint(draws, Condition(None, weaker), model.Sampling(steps=60, **options))
    return last


@pytest.mark.parametrize("weak", [flow, edm, ddpm])
@pytest.mark.parametrize("strong", [flow, edm, ddpm])
def test_pictures_move_away_from_the_weaker_models(strong, weak):
    """Any method leads away from any other, since the weaker one is asked for the picture behind the noise."""
    model = strong(0.1)
    shift = painted(model, weak(-0.1), autoguidance=1.5) - painted(model)
    assert torch.allclose(shift.mean(), torch.tensor(0.1, dtype=torch.float64), atol=0.005)  # (1.5 - 1) (0.1 + 0.1)


def test_outside_the_interval_there_is_none():
    model = flow(0.1)
    never = painted(model, flow(-0.1), autoguidance=3.0, interval=(0.0, 0.0))
    assert torch.allclose(never, painted(model), atol=0.02)


def test_what_would_not_be_heeded_is_refused():
    with pytest.raises(UserError, match="needs a weaker model"):
        painted(flow(0.1), autoguidance=2.0)
    with pytest.raises(UserError, match="no effect at autoguidance 1"):
        painted(flow(0.1), flow(0.0))
