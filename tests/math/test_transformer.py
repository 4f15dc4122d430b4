"""The transformer: its parts against their formulas, any size, zero at first, one picture at a time."""

import pytest
import torch

from limner.draws import TurnDraws, layers_draw_from
from limner.errors import UserError
from limner.nn import attention
from limner.nn.transformer import Block, Transformer, TransformerConfig, modulated, places, rotations, turned

SMALL = TransformerConfig(width=16, depth=2, heads=2, embedding=16)
DOUBLE = torch.zeros((), dtype=torch.float64)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def awake(module, std=0.2):
    """The module in float64, with no weight at zero."""
    for i, parameter in enumerate(module.double().parameters()):
        if not parameter.any():
            parameter.data = std * drawn(*parameter.shape, seed=i)
    return module


def network(config=SMALL, channels=1, values=()):
    torch.manual_seed(0)
    return awake(Transformer(config, channels, channels, values))


def test_turns_are_those_of_the_formula():
    """Value i and value i + d / 2 are a point, turned by row or column times 100^(-k / (d / 4))."""
    x = drawn(1, 6, 1, 1, 16)  # places of a grid of 2 rows and 3 columns
    found = turned(x, rotations(2, 3, 16, DOUBLE))
    for place in range(6):
        row, column = divmod(place, 3)
        for i in range(8):
            angle = torch.tensor((row if i < 4 else column) * 100.0 ** -(i % 4 / 4))
            point = torch.complex(x[0, place, 0, 0, i], x[0, place, 0, 0, i + 8]) * torch.polar(torch.ones(()), angle)
            assert found[0, place, 0, 0, i].item() == pytest.approx(point.real.item(), abs=1e-6)
            assert found[0, place, 0, 0, i + 8].item() == pytest.approx(point.imag.item(), abs=1e-6)


def test_logits_depend_on_the_way_between_places_alone():
    """The same query and key everywhere: moving both changes nothing, moving one along either side does."""
    turns = rotations(5, 6, 16, DOUBLE)
    q, k = (turned(drawn(1, 1, 1, 1, 16, seed=i).expand(1, 30, 1, 1, 16), turns)[0, :, 0, 0] for i in (0, 1))
    logits = (q @ k.T).view(5, 6, 5, 6)
    assert torch.allclose(logits[:-1, :-2, :-1, :-2], logits[1:, 2:, 1:, 2:], atol=1e-5)
    here = logits[2, 2]
    assert (here[2] - here[2, 2]).abs()[[0, 1, 3, 4, 5]].min() > 1e-3, "columns differ"
    assert (here[:, 2] - here[2, 2]).abs()[[0, 1, 3, 4]].min() > 1e-3, "rows differ"
    assert not torch.allclose(here[:, 2], here[2, :5], atol=1e-3), "and not in the same way"


def test_places_do_not_depend_on_resolution():
    coarse, fine = places(3, 3, 16, torch.device("cpu")), places(9, 9, 16, torch.device("cpu"))
    assert torch.allclose(coarse.view(3, 3, 16)[1, 2], fine.view(9, 9, 16)[4, 7], atol=1e-5)
    assert torch.cdist(coarse, coarse).fill_diagonal_(9).min() > 0.1, "all are told apart"


def test_adaptive_norm_is_that_of_its_formula():
    x, scale, shift = drawn(2, 5, 8), drawn(2, 1, 8, seed=1), drawn(2, 1, 8, seed=2)
    expected = x / x.square().mean(2, keepdim=True).sqrt() * (1 + scale) + shift
    assert torch.allclose(modulated(x, scale, shift), expected, atol=1e-4)


def block(**options):
    torch.manual_seed(0)
    made = Block(TransformerConfig(width=16, heads=2, embedding=8, **options)).double()
    made.gain.data = 1 + 0.3 * drawn(2, 1, 8)
    return made


def test_attention_agrees_with_its_formula():
    layer, x, turns = block(), drawn(2, 6, 16), rotations(2, 3, 8, DOUBLE)
    found = layer.attention(x, turns)
    for picture in range(2):
        heads = []
        for h in range(2):
            q, k, v = (
                x[picture] @ layer.qkv.weight[16 * part + 8 * h : 16 * part + 8 * h + 8].T for part in range(3)
            )  # each (6, 8)
            q, k = (
                part / part.square().mean(1, keepdim=True).add(1e-5).sqrt() * gain[0]
                for part, gain in zip((q, k), layer.gain, strict=True)
            )
            q, k = (turned(part[None, :, None, None], turns)[0, :, 0, 0] for part in (q, k))
            heads.append((q @ k.T / 8**0.5).softmax(1) @ v)
        assert torch.allclose(found[picture], layer.out(torch.cat(heads, 1)), atol=1e-6)


@pytest.mark.parametrize("mlp", ["swiglu", "gelu"])
def test_mlp_agrees_with_its_formula(mlp):
    layer, x = block(mlp=mlp), drawn(2, 6, 16)
    h = layer.wide(x)
    if mlp == "swiglu":
        a, b = h[..., :48], h[..., 48:]  # 2/3 of 64, in sixteens
        h = a / (1 + (-a).exp()) * b
    else:
        h = h * (1 + torch.erf(h / 2**0.5)) / 2
    assert torch.allclose(layer.mlp(x), layer.narrow(h))


def test_the_whole_matrix_and_the_fused_kernel_agree(monkeypatch):
    q, k, v = (drawn(2, 3, 7, 4, seed=i) for i in range(3))
    whole = attention.attend(q, k, v, 0.7)
    monkeypatch.setattr(attention, "FEW", 0)
    assert torch.allclose(whole, attention.attend(q, k, v, 0.7))


def test_a_block_does_nothing_at_first():
    layer, x = block(), drawn(2, 6, 16)
    assert torch.equal(layer(x, drawn(2, 8), rotations(2, 3, 8, DOUBLE)), x)


def test_gives_zero_at_first_and_every_parameter_learns():
    torch.manual_seed(0)
    x, time, labels = drawn(3, 1, 8, 8), torch.tensor([0.2, 0.5, 0.8]).double(), torch.tensor([[0], [1], [-1]])
    assert not Transformer(SMALL, 1, 1, (2,)).double()(x, time, labels).any()
    live = network(values=(2,))
    live(x, time, labels).square().sum().backward()
    still = [name for name, p in live.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


@pytest.mark.parametrize("patch", [1, 2, 4, 8, 16])
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 9, 13), (1, 5, 31)])
def test_any_size_comes_out_as_it_went_in(patch, channels, height, width):
    live = network(TransformerConfig(patch=patch, width=8, depth=1, heads=1, embedding=8), channels)
    x = drawn(2, channels, height, width)
    assert live(x, torch.tensor([0.1, 0.9]).double()).shape == x.shape


def test_pictures_of_a_batch_do_not_meet_and_layout_does_not_matter():
    live, x, time = network(channels=3), drawn(5, 3, 12, 12), torch.rand(5, dtype=torch.float64)
    expected = live(x, time)
    assert torch.allclose(expected[2:3], live(x[2:3], time[2:3]), atol=1e-10)
    live.to(memory_format=torch.channels_last)
    assert torch.allclose(live(x.to(memory_format=torch.channels_last), time), expected, atol=1e-10)


def test_time_and_labels_change_the_answer():
    live, x, time = network(values=(3, 2)), drawn(1, 1, 8, 8), torch.tensor([0.3]).double()
    base = live(x, time, torch.tensor([[0, 1]]))
    assert not torch.allclose(base, live(x, time + 0.1, torch.tensor([[0, 1]])))
    assert not torch.allclose(base, live(x, time, torch.tensor([[1, 1]])))
    assert torch.equal(live(x, time, torch.tensor([[-1, -1]])), live(x, time))


ROUTED = TransformerConfig(patch=1, width=16, depth=4, heads=2, embedding=16, routing=0.75)


def test_routed_tokens_skip_the_middle_and_the_others_see_each_other_alone():
    live = network(ROUTED).train()
    h, embedded, turns = drawn(3, 16, 16), drawn(3, 16, seed=1), rotations(4, 4, 8, DOUBLE)
    outer, middle = (live.blocks[0], live.blocks[3]), live.blocks[1:3]
    for layer in outer:
        torch.nn.init.zeros_(layer.modulation.weight)
        torch.nn.init.zeros_(layer.modulation.bias)
    with layers_draw_from(TurnDraws((0,), 3)):
        _, found = live.through(h, embedded, turns)
    moved = (found != h).any(2)
    assert moved.sum(1).tolist() == [4, 4, 4]
    assert len({tuple(row) for row in moved.tolist()}) > 1, "each picture has its own"
    for picture in range(3):
        kept = moved[picture].nonzero()[:, 0]
        alone = h[picture : picture + 1, kept]
        for layer in middle:
            alone = layer(alone, embedded[picture : picture + 1], tuple(part[:, kept] for part in turns))
        assert torch.allclose(found[picture, kept], alone[0], atol=1e-10)
    assert bool((live.eval().through(h, embedded, turns)[1] != h).any(2).all()), "when painting all go through all"


@pytest.mark.parametrize("options", [{"routing": 0.5, "depth": 4}, {"dropout": 0.3}])
def test_what_is_random_repeats_with_its_turn(options):
    live = network(TransformerConfig(**{"width": 16, "depth": 2, "heads": 2, "embedding": 16} | options)).train()
    x, time, outputs = drawn(4, 1, 8, 8), torch.rand(4, dtype=torch.float64), []
    for step in (0, 0, 1):
        with layers_draw_from(TurnDraws((0, step), 4)):
            outputs.append(live(x, time))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_gradients_survive_bfloat16():
    live = network(TransformerConfig(width=64, depth=4, heads=2, embedding=32), values=(3,)).float()
    x, time, labels = drawn(16, 1, 16, 16).float(), torch.linspace(0.05, 0.95, 16), torch.arange(16)[:, None] % 3
    target, found = drawn(16, 1, 16, 16, seed=1).float(), []
    for rough in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=rough):
            loss = (live(x, time, labels).float() - target).square().mean()
        found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(live.parameters()))]))
    assert torch.nn.functional.cosine_similarity(*found, dim=0).item() > 0.999


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (TransformerConfig(width=100, heads=3), "such as 96"),
        (TransformerConfig(dropout=1.0), "dropout 1 leaves nothing"),
        (TransformerConfig(routing=1.0), "routing 1 leaves nothing"),
        (TransformerConfig(routing=0.5, depth=3), "a depth of 4"),
    ],
)
def test_impossible_configs_are_refused(config, says):
    with pytest.raises(UserError, match=says):
        config.check()
