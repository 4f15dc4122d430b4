"""Residual networks without normalisation: how they start, and what keeps them apart from the rest."""

import math

import pytest
import torch

from limner.api import Attribute, Situation, Spec
from limner.errors import UserError
from limner.families.gan import rules
from limner.families.gan.config import GANConfig
from limner.families.gan.r3gan import Block, Critic, Frame, Painter, groups
from limner.recipes import recipe

SPEC = Spec(channels=3, height=32, width=32)


def config(**changes):
    return GANConfig(**{"architecture": "r3gan", "width": 16, "widest": 64, "latent": 8, "patch": 2, **changes})


@pytest.mark.parametrize("group", [0, 8])
def test_a_block_starts_as_nothing(group):
    torch.manual_seed(0)
    block, x = Block(16, group, blocks=4), torch.randn(2, 16, 5, 5)
    assert torch.equal(block(x), x)
    # The branch before its last layer keeps the size of its input, up to the factor of the number of blocks.
    torch.manual_seed(0)
    wide, x = Block(128, group and 16, blocks=1), torch.randn(4, 128, 16, 16)
    y = x
    for layer in wide.layers:
        y = torch.nn.functional.leaky_relu(layer(y), 0.2)
    assert y.detach()[..., 2:-2, 2:-2].square().mean().sqrt().item() == pytest.approx(1.0, abs=0.15)


def test_the_more_blocks_the_smaller_they_start():
    """1901.09321, section 3: L^(-1 / (2 m - 2)) for m layers of a branch."""
    for group, m in ((0, 2), (8, 3)):
        sizes = []
        for blocks in (1, 16):
            torch.manual_seed(0)
            sizes.append(Block(32, group, blocks).layers[-1].weight.std().item())
        assert sizes[1] / sizes[0] == pytest.approx(16 ** (-1 / (2 * m - 2)), rel=1e-5)


@pytest.mark.parametrize(("width", "group"), [(64, 16), (48, 32), (30, 16), (8, 16), (7, 2)])
def test_groups_divide_the_channels(width, group):
    count = groups(width, group)
    assert width % count == 0 and width // count <= group


def test_nothing_is_normalised_and_squares_are_channels():
    torch.manual_seed(0)
    painter, critic = Painter(config(), SPEC), Critic(config(), SPEC)
    kinds = {type(part).__name__ for network in (painter, critic) for part in network.modules()}
    assert not any("Norm" in kind for kind in kinds), kinds
    seen = []
    critic.look.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape)))
    x = painter(torch.randn(2, 8), None)
    assert critic(x, None).shape == (2,)
    assert x.shape == (2, 3, 32, 32) and seen == [(2, 12, 16, 16)]
    # Doubling widths at halved sides: every resolution costs the same.
    assert Frame(config(), SPEC).widths == [16, 32, 64]


def test_pictures_start_with_a_size_that_tanh_passes_on():
    torch.manual_seed(0)
    painter = Painter(config(width=32, widest=128), SPEC)
    x = painter(torch.randn(64, 8), None)
    assert 0.3 < x.std() < 0.9
    assert Critic(config(width=32, widest=128), SPEC)(x, None).std() < 3


def test_the_critic_weighs_the_places_of_its_last_features():
    """As a convolution in as many groups as channels does."""
    torch.manual_seed(0)
    critic, seen = Critic(config(), SPEC), []
    critic.layers.register_forward_hook(lambda _, given, out: seen.append(out))
    x = torch.randn(2, 3, 32, 32)
    logits = critic(x, None)
    features = torch.nn.functional.conv2d(seen[0], critic.gather[:, None], groups=64).flatten(1)
    torch.testing.assert_close(logits, critic.score(features).squeeze(1))


def test_options_of_others_are_refused():
    rules.check(config(group_width=8), SPEC)
    for changes, said in (({"kernel": 3}, "kernel=3"), ({"discriminator_norm": "layer"}, "discriminator_norm=layer")):
        with pytest.raises(UserError, match=said):
            rules.check(config(**changes), SPEC)
    with pytest.raises(UserError, match="patch=2 has no meaning under architecture=transposed"):
        rules.check(GANConfig(patch=2), SPEC)


def test_the_recipe_follows_pictures_and_time():
    attribute = Attribute("kind", ("a", "b"))
    labelled = Spec(channels=3, height=32, width=32, attributes=(attribute,))
    quick, train = recipe("r3gan").build(Situation(labelled, 50_000, 120.0))
    long, _ = recipe("r3gan").build(Situation(SPEC, 500, 8 * 3600.0))
    assert (quick.conditioning, long.conditioning) == ("projection", "none")
    assert quick.width < long.width and not quick.augmentation and long.augmentation
    assert quick.loss == "relativistic" and quick.r1 == quick.r2 > 0
    rules.check(quick, labelled)
    assert [
        recipe("r3gan").build(Situation(Spec(channels=3, height=side, width=side), 1000))[0].patch
        for side in (8, 28, 64, 128)
    ] == [1, 2, 2, 4]
    assert math.isclose(quick.generator_optimiser.rate, quick.discriminator_optimiser.rate) and train.batch
