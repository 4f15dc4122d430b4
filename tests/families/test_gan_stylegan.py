"""Style-based generators: their layers against the formulas, styles that are mixed, truncated and exchanged."""

import pytest
import torch
import torch.nn.functional as F

from limner.api import Attribute, Condition, Spec, needs
from limner.draws import PictureDraws, TurnDraws, layers_draw_from
from limner.errors import UserError
from limner.families.gan.config import GANConfig, GANSampling
from limner.families.gan.game import GAN
from limner.families.gan.styled import StyleGAN
from limner.nn.equalised import EqualisedConv2d, EqualisedLinear
from limner.nn.mapping import MIXED, Mapping, mixed, truncated
from limner.nn.modulation import AdaIN, ModulatedConv2d, Noise

SPEC = Spec(channels=3, height=16, width=16)
LABELLED = Spec(channels=3, height=16, width=16, attributes=(Attribute("kind", ("a", "b")),))
KINDS = pytest.mark.parametrize("name", ["stylegan", "stylegan2"])


def model(name, spec=SPEC, **changes):
    torch.manual_seed(0)
    way = "style" if spec.attributes else "none"
    config = GANConfig(**{"architecture": name, "width": 8, "latent": 12, "depth": 2, "conditioning": way, **changes})
    StyleGAN.check(config, spec)
    return StyleGAN(config, spec)


def test_modulated_convolution_is_the_papers():
    """1912.04958, equations 1 and 3, each picture with a weight of its own."""
    torch.manual_seed(0)
    layer = ModulatedConv2d(5, 7, 3, style=4).double()
    x, style = torch.randn(3, 5, 6, 6).double(), torch.randn(3, 4).double()
    wanted = []
    for picture, s in zip(x, layer.style(style), strict=True):
        weight = layer.weight * layer.scale * s[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        wanted.append(F.conv2d(picture[None], weight, padding=1))
    torch.testing.assert_close(layer(x, style), torch.cat(wanted))
    plain = ModulatedConv2d(5, 7, 1, style=4, demodulate=False).double()
    s = plain.style(style)
    by_hand = torch.einsum("bihw,oi,bi->bohw", x, plain.weight[:, :, 0, 0] * plain.scale, s)
    torch.testing.assert_close(plain(x, style), by_hand)


def test_demodulation_keeps_the_size_whatever_the_style():
    torch.manual_seed(0)
    layer, x = ModulatedConv2d(64, 64, 3, style=8), torch.randn(4, 64, 16, 16)
    for strength in (0.1, 1.0, 10.0):
        y = layer(x, strength * torch.randn(4, 8))[..., 1:-1, 1:-1].detach()
        assert y.std().item() == pytest.approx(1.0, abs=0.1)


def test_equalised_layers_scale_as_they_pass():
    """1710.10196, section 4.1: w = w' / c at each pass, weights of N(0, 1)."""
    torch.manual_seed(0)
    linear, conv = EqualisedLinear(50, 400), EqualisedConv2d(16, 64, 3)
    for layer, fan_in in ((linear, 50), (conv, 16 * 9)):
        assert layer.weight.std().item() == pytest.approx(1.0, abs=0.05)
        assert layer.scale == pytest.approx(fan_in**-0.5)
    x = torch.randn(2, 50)
    torch.testing.assert_close(linear(x), F.linear(x, linear.weight / 50**0.5, linear.bias))
    assert linear(torch.randn(200, 50)).std().item() == pytest.approx(1.0, abs=0.05)


def test_a_slower_layer_is_the_same_function_and_learns_a_hundredth():
    torch.manual_seed(0)
    plain = EqualisedLinear(6, 4, bias=0.5)
    slow = EqualisedLinear(6, 4, rate=0.01)
    with torch.no_grad():
        slow.weight.copy_(plain.weight / 0.01)
        slow.bias.copy_(plain.bias / 0.01)
    x = torch.randn(8, 6)
    before = plain(x).detach()
    torch.testing.assert_close(slow(x).detach(), before)
    moved = []
    for layer in (plain, slow):
        optimiser = torch.optim.Adam(layer.parameters(), 1e-3)
        layer(x).sum().backward()
        optimiser.step()
        moved.append((layer(x).detach() - before).abs().mean())
    assert (moved[1] / moved[0]).item() == pytest.approx(0.01, rel=1e-2)


def test_adain_gives_the_style_its_mean_and_deviation():
    """1812.04948, equation 1."""
    torch.manual_seed(0)
    layer, x, style = AdaIN(6, 4).double(), 3 + 2 * torch.randn(2, 6, 9, 9).double(), torch.randn(2, 4).double()
    y = layer(x, style)
    scale, shift = layer.film(style).chunk(2, 1)
    torch.testing.assert_close(y.mean((2, 3)), shift, atol=1e-9, rtol=0)
    torch.testing.assert_close(y.std((2, 3), unbiased=False), (1 + scale).abs(), atol=1e-5, rtol=1e-4)


def test_noise_is_one_number_a_place_and_starts_at_nothing():
    layer, x = Noise(), torch.randn(2, 3, 4, 4)
    with layers_draw_from(TurnDraws((0,), 2)):
        assert torch.equal(layer(x), x)
    torch.nn.init.constant_(layer.strength, 0.5)
    with layers_draw_from(TurnDraws((0,), 2)):
        added = (layer(x) - x).detach()
    torch.testing.assert_close(added, added[:, :1].expand_as(added))
    assert not torch.equal(added[0], added[1])


def test_mixing_takes_all_layers_from_one_on():
    torch.manual_seed(0)
    z = torch.randn(4000, 5)
    with layers_draw_from(TurnDraws((0,), 4000)):
        other, takes = mixed(z, 6)
    assert other.shape == z.shape and takes.shape == (4000, 6, 1)
    takes = takes[:, :, 0]
    assert bool((takes.diff(dim=1) >= 0).all()) and not takes[:, 0].any()
    assert takes[:, -1].mean().item() == pytest.approx(MIXED, abs=0.02)
    first = takes.sum(1)  # how many take the other's: 1 to 5 alike, 0 for those that are not mixed
    assert [(first == count).double().mean().item() for count in range(1, 6)] == pytest.approx(
        [MIXED / 5] * 5, abs=0.02
    )


def test_the_mean_style_follows_styles_in_training_alone():
    torch.manual_seed(0)
    mapping = Mapping(4, 0, 6, depth=2)
    with torch.no_grad():
        w = mapping(torch.randn(500, 4), None)
        torch.testing.assert_close(mapping.middle, 0.005 * w.mean(0))
        before = mapping.eval().middle.clone()
        mapping(torch.randn(5, 4), None)
    assert torch.equal(mapping.middle, before)


def test_truncation_is_a_way_to_the_mean_style():
    styles, middle = torch.randn(3, 4, 5), torch.randn(5)
    torch.testing.assert_close(truncated(styles, middle, 1.0), styles)
    torch.testing.assert_close(truncated(styles, middle, 0.5) - middle, 0.5 * (styles - middle))


@KINDS
def test_truncated_to_nothing_all_pictures_are_one(name):
    gan, draws = model(name).eval(), PictureDraws(0, range(3))

    def painted(truncation):
        with torch.no_grad(), layers_draw_from(draws):
            *_, x = gan.paint(draws, Condition(), GANSampling(truncation=truncation))
        return x

    torch.testing.assert_close(painted(1.0), painted(None))
    apart = [(painted(share)[0] - painted(share)[1]).abs().mean() for share in (1.0, 0.5, 1e-6)]
    assert apart[0] > apart[1] > 100 * apart[2]


@KINDS
def test_each_layer_has_a_style_and_fine_ones_leave_the_coarse_picture(name):
    gan, draws = model(name).eval(), PictureDraws(0, range(4))
    needs(gan, "styles")
    with torch.no_grad():
        styles = gan.styles(draws, Condition(), GANSampling())
        assert styles.shape == (4, 2 * 2 + 2, 12)
        with layers_draw_from(draws):
            *_, painted = gan.paint(draws, Condition(), GANSampling())
        torch.testing.assert_close(gan.paint_styles(styles, draws), painted)
        seen = []
        gan.painter.layers[1].register_forward_hook(lambda _, given, out: seen.append(out.clone()))
        others = styles.clone()
        others[:, 3:] = styles.flip(0)[:, 3:]
        gan.paint_styles(styles, draws)
        exchanged = gan.paint_styles(others, draws)
    assert torch.equal(seen[0], seen[1]) and not torch.allclose(exchanged, painted)


@KINDS
def test_labels_choose_styles(name):
    gan, draws = model(name, LABELLED).eval(), PictureDraws(0, range(2))

    def styles(label):
        return gan.styles(draws, Condition(torch.full((2, 1), label)), GANSampling())

    with torch.no_grad():
        assert not torch.allclose(styles(0), styles(1))
        assert torch.equal(styles(-1), styles(-1))
    assert gan.critic.inner is not None


@KINDS
def test_what_a_picture_shows_is_not_the_critics_padding(name):
    """28 pixels in squares of 2 are 14 places: no resolution is cut."""
    spec = Spec(channels=1, height=28, width=28)
    gan = model(name, spec, patch=2).eval()
    with torch.no_grad(), layers_draw_from(PictureDraws(0, range(2))):
        x = gan.painter(torch.randn(2, 12), None)
    assert x.shape == (2, 1, 28, 28) and gan.critic.whole == (28, 28) and gan.critic(x, None).shape == (2,)


def test_families_say_where_else_to_start():
    for kind, name, said in ((GAN, "stylegan2", "--model stylegan2"), (StyleGAN, "resnet", "--model dcgan")):
        with pytest.raises(UserError, match=said):
            kind.check(GANConfig(architecture=name), SPEC)
    plain = GAN(GANConfig(width=8, latent=4), SPEC)
    with pytest.raises(UserError, match="cannot exchange styles"):
        needs(plain, "styles")
