"""Networks for few pictures: gates from coarse to fine, and a discriminator that has to paint pictures again."""

import pytest
import torch
import torch.nn.functional as F

from limner.api import Batch, Progress, Spec
from limner.draws import TurnDraws, layers_draw_from
from limner.families.gan.config import GANConfig
from limner.families.gan.fastgan import Excitation, quarter
from limner.families.gan.game import GAN

SPEC = Spec(channels=3, height=32, width=32)


def model(spec=SPEC, **changes):
    torch.manual_seed(0)
    config = GANConfig(**{"architecture": "fastgan", "width": 8, "latent": 6, "loss": "hinge", **changes})
    GAN.check(config, spec)
    return GAN(config, spec)


def batch(spec=SPEC, size=4):
    draws = TurnDraws((0,), size)
    return Batch(draws, draws.uniform("pictures", *spec.shape) * 2 - 1)


def test_coarse_features_gate_each_channel_of_fine_ones():
    """Equation 1."""
    torch.manual_seed(0)
    gate, fine, coarse = Excitation(4, 6), torch.randn(2, 6, 8, 8), torch.randn(2, 4, 4, 4)
    share = (gate(fine, coarse) / fine).detach()
    torch.testing.assert_close(share, share[:, :, :1, :1].expand_as(share))
    assert float(share.min()) > 0 and float(share.max()) < 1


@pytest.mark.parametrize(("side", "gates", "reach"), [(8, 1, 1), (16, 2, 1), (32, 2, 2), (64, 2, 3), (128, 2, 4)])
def test_gates_reach_as_far_as_a_picture_has_doublings(side, gates, reach):
    painter = model(Spec(channels=1, height=side, width=side)).painter
    assert (len(painter.gates), painter.reach) == (gates, reach)


def test_the_coarsest_features_reach_the_finest_through_the_gate():
    gan, seen = model(), []
    gan.painter.gates[0].register_forward_hook(lambda _, given, out: seen.append([part.shape[-2:] for part in given]))
    with layers_draw_from(TurnDraws((0,), 4)):
        gan.painter(torch.randn(4, 6), None)
    assert seen == [[(16, 16), (4, 4)]]


def test_quarters_are_those_asked_for():
    x = torch.arange(2 * 16.0).view(2, 1, 4, 4)
    which = torch.tensor([1, 2])
    assert torch.equal(quarter(x, which), torch.stack([x[0, :, :2, 2:], x[1, :, 2:, :2]]))


def test_the_discriminator_paints_real_pictures_again():
    """Section 3.2: the decoders' losses are part of D's turn, on real pictures as D is shown them."""
    gan, turn = model(), batch()
    with layers_draw_from(turn.draws):
        found = gan.discriminator_loss(turn, Progress(), {})
    assert {"decoded", "decoded_part"} <= set(found)
    with layers_draw_from(turn.draws):
        coarse, _ = gan.critic.maps(turn.pictures, None)
    half = F.interpolate(turn.pictures, scale_factor=0.5, mode="area")
    assert gan.critic.decode(coarse).shape == half.shape
    gradients = torch.autograd.grad(found["decoded"] + found["decoded_part"], list(gan.critic.look.parameters()))
    assert all(float(g.abs().sum()) > 0 for g in gradients)


def test_decoders_learn_to_paint_again():
    spec = Spec(channels=1, height=16, width=16)
    gan, turn = model(spec), batch(spec)
    optimiser, seen = torch.optim.Adam(gan.critic.parameters(), 5e-3), []
    for step in range(40):
        with layers_draw_from(TurnDraws((step,), 4)):
            losses = gan.critic.tasks(gan.critic.maps(turn.pictures, None), turn.pictures)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        seen.append(losses["decoded"].item())
    assert seen[-1] < 0.7 * seen[0]


def test_a_part_and_its_target_are_the_same_quarter():
    """Where the decoder is a picture of places, its quarter is the picture's."""
    gan = model(Spec(channels=1, height=16, width=16))
    critic = gan.critic.eval()
    pictures = torch.rand(8, 1, 16, 16)
    before = F.interpolate(pictures, size=(8, 8), mode="area")

    class Enlarged(torch.nn.Module):
        def forward(self, x):
            return F.interpolate(x, scale_factor=2.0, mode="nearest")

    critic.decode, critic.decode_part = Enlarged(), Enlarged()
    flat = F.interpolate(before, scale_factor=2.0, mode="nearest")  # pictures that 8x8 features can hold
    with layers_draw_from(TurnDraws((0,), 8)):
        found = critic.tasks((F.avg_pool2d(before, 2), before), flat)
    assert found["decoded_part"].item() == pytest.approx(0.0, abs=1e-6)
