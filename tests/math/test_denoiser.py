"""What the diffusion methods share: which noise a picture gets, smaller pictures first, weights that are learned."""

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from limner.api import Attribute, Batch, Condition, Progress, Spec
from limner.draws import PictureDraws, TurnDraws
from limner.errors import UserError
from limner.families.diffusion.ddpm import DDPM, DDPMConfig
from limner.families.diffusion.denoiser import BETWEEN, GUIDANCE
from limner.families.diffusion.edm import EDM, EDMConfig
from limner.families.diffusion.flow_matching import FlowConfig, FlowMatching, FlowSampling
from limner.nn.uncertainty import Uncertainty
from limner.nn.unet import UNetConfig
from limner.noising.assignment import exchanged, nearest_noise
from limner.noising.paths import PATHS

SMALL = UNetConfig(patch=1, widths=(8,), blocks=(1,), embedding=16)
SPEC = Spec(channels=1, height=16, width=16)


def draws(n=512):
    return TurnDraws((0,), n)


def model(spec=SPEC, **options):
    torch.manual_seed(0)
    return FlowMatching(FlowConfig(network=SMALL, **options), spec)


def test_one_candidate_is_the_noise_itself():
    x = torch.zeros(512, 1, 8, 8)
    assert torch.equal(nearest_noise(draws(), x), draws().normal("noise", 1, 8, 8))


def test_the_nearest_noise_is_more_like_the_picture_and_no_shorter():
    x = draws().uniform("pictures", 1, 8, 8) * 2 - 1
    near = nearest_noise(draws(), x, 8)
    likeness = (near * x).flatten(1).sum(1) / x.flatten(1).norm(dim=1)
    assert likeness.mean().item() == pytest.approx(1.4236, abs=0.1)  # the mean of the largest of eight normal numbers
    along = (near * x).flatten(1).sum(1) / x.flatten(1).norm(dim=1)
    across = near.flatten(1).square().sum(1) - along.square()
    assert across.mean().item() == pytest.approx(63.0, rel=0.02)  # untouched in the 63 other directions


def test_a_picture_gets_its_noise_whatever_its_neighbours():
    x = draws().uniform("pictures", 1, 8, 8)
    part = draws().rows(100, 50)
    assert torch.equal(nearest_noise(part, x[100:150], 4), nearest_noise(draws(), x, 4)[100:150])


def test_exchanged_noise_is_the_same_noise_nearer():
    x, noise = (draws().normal(name, 1, 2, 3) for name in ("pictures", "noise"))
    near = exchanged(noise, x, 4)
    for first in range(0, 32, 4):
        group, rows = slice(first, first + 4), list(range(4))
        orders = map(list, itertools.permutations(rows))
        best = min(orders, key=lambda order: float((x[group] - noise[group][order]).square().sum()))
        assert torch.equal(near[group], noise[group][best])
    assert torch.equal(exchanged(noise[8:24], x[8:24], 4), near[8:24])  # whoever else is in the batch
    shown = Batch(draws(6), torch.randn(6, 1, 16, 16))
    assert torch.equal(model(coupled=4).eval().noise(shown), model().noise(shown))  # looked at as it will be asked
    few = exchanged(noise[:6], x[:6], 4)
    assert torch.equal(few[:4], near[:4])
    assert {tuple(n.flatten().tolist()) for n in few[4:]} == {tuple(n.flatten().tolist()) for n in noise[4:6]}


def test_smaller_pictures_come_first_with_as_much_less_noise():
    small, whole = model(small=0.25).stages()
    assert (small.size, small.share) == ((8, 8), 0.25) and (whole.size, whole.share) == (None, 0.75)
    shown = Batch(draws(), torch.zeros(512, 1, 8, 8))
    assert model().noise(shown).std().item() == pytest.approx(0.5, rel=0.02)
    shrunk = F.interpolate(draws().normal("noise", 1, 16, 16), size=(8, 8), mode="area")
    assert shrunk.std().item() == pytest.approx(0.5, rel=0.02)


def test_sizes_that_have_no_half_are_refused():
    with pytest.raises(UserError, match="half their size"):
        FlowMatching.check(FlowConfig(network=SMALL, small=0.3), Spec(channels=1, height=9, width=12))


@pytest.mark.parametrize("told", [True, False])
def test_what_the_network_is_told_of_does_not_leak_into_samples(told):
    """All pictures are bright on the left, and half of them are shown mirrored.

    Told which, the network comes to paint the one picture; kept in the dark, it has to paint both.
    """
    flow = model(Spec(channels=1, height=8, width=8), augmentation=("mirror",), augmentation_probability=1.0)
    if not told:
        flow.telling = lambda labels, done: torch.zeros_like(done)
    optimiser = torch.optim.Adam(flow.parameters(), 1e-2)
    picture = torch.where(torch.arange(8) < 4, 0.8, -0.8).expand(64, 1, 8, 8)
    for step in range(300):
        optimiser.zero_grad()
        flow.loss(Batch(TurnDraws((step,), 64), picture), Progress(), {})["velocity"].backward()
        optimiser.step()
    *_, painted = flow.eval().paint(PictureDraws(0, range(64)), Condition(), flow.Sampling(steps=8))
    left = painted[..., :4].mean((1, 2, 3)) > painted[..., 4:].mean((1, 2, 3))
    share = left.float().mean().item()
    assert share > 0.97 if told else 0.25 < share < 0.75


def test_labels_that_are_not_used_are_not_taken_for_changes():
    spec = Spec(channels=1, height=16, width=16, attributes=(Attribute("kind", ("a", "b")),))
    flow = model(spec, augmentation=("shift", "turn"), conditional=False)
    with torch.no_grad():
        for weight in flow.parameters():
            weight += 0.1 * torch.randn_like(weight)
    shown = Batch(draws(4), torch.zeros(4, 1, 16, 16), labels=torch.ones(4, 1, dtype=torch.int64))
    assert torch.equal(flow.probe(shown)["velocity"], flow.probe(replace(shown, labels=None))["velocity"])


def test_uncertainty_becomes_the_logarithm_of_the_error():
    """Errors of 4 early and 0.25 late: their weighted sum is least at u = log 4 and u = -log 4."""
    u = Uncertainty()
    time = torch.linspace(0, 1, 64)
    error = torch.where(time < 0.5, 4.0, 0.25)
    optimiser = torch.optim.LBFGS(u.parameters(), max_iter=200)

    def closure():
        optimiser.zero_grad()
        loss = u.weighted(error, time).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    far = (time - 0.5).abs() > 0.1
    assert torch.allclose(u(time)[far], error.log()[far], atol=0.4)


def test_learned_weights_are_trained_and_leave_the_error_to_be_read():
    flow = model(weighting="learned")
    batch = Batch(draws(8), torch.zeros(8, 1, 16, 16))
    losses = flow.loss(batch, Progress(), {})
    assert set(losses) == {"velocity", "_error"}
    losses["velocity"].backward()
    assert flow.uncertainty.out.bias.grad.abs().item() > 0
    plain = model().loss(batch, Progress(), {})
    assert torch.allclose(losses["_error"], plain["velocity"])  # u begins at 0


LABELLED = Spec(channels=1, height=16, width=16, attributes=(Attribute("class", ("a", "b")),))


@pytest.mark.parametrize("path", PATHS)
def test_labels_are_followed_more_strongly_between_the_same_noise_levels_on_every_path(path):
    found = model(LABELLED, path=path)
    level = found.path.at(torch.tensor(found.usual().interval, dtype=torch.float64))
    assert (level.sigma / level.alpha).tolist() == pytest.approx(BETWEEN, rel=0.03)
    assert found.usual().guidance == GUIDANCE and model(path=path).usual() == FlowSampling()


def test_labels_are_followed_more_strongly_between_the_same_noise_levels_by_every_method():
    chain, levels = (kind(config(network=SMALL), LABELLED) for kind, config in ((DDPM, DDPMConfig), (EDM, EDMConfig)))
    assert levels.usual().interval == pytest.approx(BETWEEN)
    level = chain.chain.at(torch.tensor([round(t * 1000) for t in chain.usual().interval]), torch.zeros(2))
    assert (level.sigma / level.alpha).tolist() == pytest.approx(BETWEEN, rel=0.03)
