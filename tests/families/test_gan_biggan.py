"""Self-attention, norms that are told labels, latents in parts: against the formulas, and what they are there for."""

import pytest
import torch

from limner.api import Attribute, Condition, Spec
from limner.draws import PictureDraws
from limner.families.gan import biggan, sagan
from limner.families.gan.config import GANConfig, GANSampling
from limner.families.gan.game import GAN
from limner.nn.attention import GatedAttention
from limner.nn.conditional import ConditionalNorm, through, told_norm
from limner.nn.residual import Rise, attending

KIND = Attribute("kind", ("a", "b", "c"))
SPEC = Spec(channels=3, height=16, width=16, attributes=(KIND,))


def model(name, spec=SPEC, **changes):
    torch.manual_seed(0)
    way = "normalisation" if spec.attributes else "none"
    config = GANConfig(**{"architecture": name, "width": 8, "latent": 9, "conditioning": way, **changes})
    GAN.check(config, spec)
    return GAN(config, spec)


@pytest.mark.parametrize("kind", ["batch", "instance", "layer"])
def test_a_told_norm_is_the_formula(kind):
    torch.manual_seed(0)
    layer, x, told = ConditionalNorm(kind, 4, 5).double(), torch.randn(6, 4, 3, 3).double(), torch.randn(6, 5).double()
    over = {"batch": (0, 2, 3), "instance": (2, 3), "layer": (1, 2, 3)}[kind]
    mean, var = x.mean(over, keepdim=True), x.var(over, unbiased=False, keepdim=True)
    scale, shift = (told @ layer.film.weight.T)[:, :, None, None].chunk(2, 1)
    torch.testing.assert_close(layer(x, told), (x - mean) / (var + 1e-5).sqrt() * (1 + scale) + shift)


def test_norms_that_are_told_nothing_are_plain():
    layer = told_norm("batch", 4, 0)
    assert {name for name, _ in layer.named_parameters()} == {"weight", "bias"}
    x = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(through(torch.nn.ModuleList([layer]), x, None), layer(x))


def test_a_block_passes_on_what_it_is_told():
    torch.manual_seed(0)
    block, x, told = Rise(4, 6, "nearest", "batch", told=5).eval(), torch.randn(2, 4, 4, 4), torch.randn(2, 5)
    assert block(x, told).shape == (2, 6, 8, 8)
    assert not torch.allclose(block(x, told), block(x, told.flip(0)))


def test_attention_starts_as_nothing_and_is_the_formula():
    """1805.08318, equations 1 to 3, keys and values pooled."""
    torch.manual_seed(0)
    layer, x = GatedAttention(16).double(), torch.randn(2, 16, 6, 4).double()
    assert torch.equal(layer(x), x)
    torch.nn.init.constant_(layer.gamma, 0.7)

    def times(conv, x):
        return torch.einsum("oi,bihw->bohw", conv.weight[:, :, 0, 0], x)

    pool = torch.nn.MaxPool2d(2)
    f = times(layer.query, x).flatten(2)  # (B, 2, 24)
    g, h = pool(times(layer.key, x)).flatten(2), pool(times(layer.value, x)).flatten(2)
    beta = torch.softmax(f.transpose(1, 2) @ g, 2)  # (B, 24, 6)
    wanted = x + 0.7 * times(layer.out, (h @ beta.transpose(1, 2)).unflatten(2, (6, 4)))
    torch.testing.assert_close(layer(x), wanted, atol=1e-6, rtol=1e-6)
    weights = layer.weights(x)
    assert weights.shape == (2, 24, 6)
    torch.testing.assert_close(weights.sum(2), torch.ones_like(weights[:, :, 0]))


@pytest.mark.parametrize(("start", "levels", "level"), [((4, 4), 1, 0), ((4, 4), 3, 2), ((4, 4), 5, 3), ((4, 9), 4, 1)])
def test_features_of_half_the_size_attend_but_no_larger_ones(start, levels, level):
    assert attending(start, levels) == level
    assert max(start) * 2**level <= 32 and level < levels


@pytest.mark.parametrize("name", ["sagan", "biggan"])
def test_either_network_has_one_layer_of_attention_at_half_the_size(name):
    gan, seen = model(name, Spec(channels=3, height=32, width=32, attributes=(KIND,))), []
    for network in (gan.painter, gan.critic):
        (layer,) = (part for part in network.modules() if isinstance(part, GatedAttention))
        layer.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[-2:])))
    labels = torch.tensor([[0], [2]])
    gan.critic(gan.painter(torch.randn(2, 9), labels), labels)
    assert seen == [(16, 16), (16, 16)]


@pytest.mark.parametrize("name", ["sagan", "biggan"])
def test_a_label_changes_pictures_through_norms_alone(name):
    gan = model(name).eval()
    assert gan.painter.labels is None and gan.critic.inner is not None
    told = [part for part in gan.painter.modules() if isinstance(part, ConditionalNorm)]
    assert told
    z, one, other = torch.randn(2, 9), torch.zeros(2, 1, dtype=torch.long), torch.ones(2, 1, dtype=torch.long)
    assert not torch.allclose(gan.painter(z, one), gan.painter(z, other))
    for part in told:
        torch.nn.init.zeros_(part.film.weight)
    assert torch.equal(gan.painter(z, one), gan.painter(z, other))


@pytest.mark.parametrize(("latent", "parts", "sizes"), [(9, 3, [3, 3, 3]), (8, 3, [3, 3, 2]), (2, 3, [1, 1, 0])])
def test_the_latent_is_shared_out(latent, parts, sizes):
    assert biggan.split(latent, parts) == sizes


def test_each_block_has_its_part_of_the_latent():
    """What comes before a block does not see its part, whatever the label."""
    gan, seen = model("biggan").eval(), []
    gan.painter.rises[0].register_forward_hook(lambda _, given, out: seen.append(out.clone()))
    labels = torch.zeros(2, 1, dtype=torch.long)
    z = torch.randn(2, 9)
    changed = z.clone()
    changed[:, 6:] = 0  # the last of three parts
    one, other = gan.painter(z, labels), gan.painter(changed, labels)
    assert torch.equal(seen[0], seen[1]) and not torch.allclose(one, other)
    without = model("biggan", Spec(channels=3, height=16, width=16)).eval()  # no labels: parts alone
    assert not torch.allclose(without.painter(z, None), without.painter(changed, None))


def test_weights_start_orthogonal():
    critic = model("biggan").critic
    for part in critic.modules():
        if isinstance(part, torch.nn.Conv2d):
            rows = part.weight.flatten(1)
            rows = rows if rows.shape[0] <= rows.shape[1] else rows.T
            torch.testing.assert_close(rows @ rows.T, torch.eye(len(rows)), atol=1e-5, rtol=0)


def test_one_embedding_serves_all_norms():
    networks = [biggan.Painter, sagan.Painter]
    for made in networks:
        torch.manual_seed(0)
        config = GANConfig(architecture="biggan", conditioning="normalisation", width=8, latent=9, embedding=7)
        painter = made(config, SPEC)
        assert [name for name, _ in painter.named_modules() if name.endswith("told")] == ["told"]
        assert {part.film.in_features - 7 for part in painter.modules() if isinstance(part, ConditionalNorm)} <= {0, 3}


@pytest.mark.parametrize("name", ["sagan", "biggan"])
def test_truncation_leaves_what_is_typical(name):
    """The smaller the middle that latents come from, the less pictures differ."""
    gan, draws = model(name).eval(), PictureDraws(0, range(16))
    asked = Condition(torch.zeros(16, 1, dtype=torch.long))

    def spread(truncation):
        with torch.no_grad():
            *_, x = gan.paint(draws, asked, GANSampling(truncation=truncation))
        return float(x.std(0).mean())

    wide, middle, narrow = spread(None), spread(0.5), spread(0.05)
    assert wide > middle > narrow > 0
