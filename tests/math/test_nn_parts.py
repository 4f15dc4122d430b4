"""Normalisation, embeddings, dropout, attention: against their definitions."""

import pytest
import torch
import torch.nn.functional as F

from limner.draws import PictureDraws, TurnDraws, layers_draw_from
from limner.labels import FINE
from limner.nn.attention import SelfAttention
from limner.nn.dropout import Dropout
from limner.nn.embed import LabelEmbedding, LabelMemory, drop_labels, sinusoid
from limner.nn.norm import BatchNorm, groups, norm
from limner.processes import sharing


def features(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 3 + 1


OVER = {"layer": (1, 2, 3), "instance": (2, 3), "batch": (0, 2, 3)}


@pytest.mark.parametrize("name", OVER)
def test_norm_over_which_values(name):
    x = features(4, 16, 5, 6)
    mean = x.mean(OVER[name], keepdim=True)
    std = x.var(OVER[name], keepdim=True, unbiased=False).add(1e-5).sqrt()
    assert torch.allclose(norm(name, 16).double()(x), (x - mean) / std)


def test_group_norm_has_groups_of_eight_and_more():
    x = features(4, 32, 5, 6)
    y = norm("group", 32, affine=False)(x).unflatten(1, (4, 8))
    assert torch.allclose(y.mean((2, 3, 4)), torch.zeros(4, 4, dtype=torch.float64), atol=1e-12)
    assert [groups(c) for c in (1, 7, 8, 12, 48, 64, 96, 100, 512)] == [1, 1, 1, 1, 6, 8, 12, 10, 32]


@pytest.mark.parametrize("name", ["rms", "pixel"])
def test_rms_over_the_channels_of_a_pixel(name):
    x = features(2, 8, 3, 3)
    layer = norm(name, 8).double()
    expected = x / x.square().mean(1, keepdim=True).sqrt()
    assert torch.allclose(layer(x), expected, atol=1e-5)
    assert len(list(layer.parameters())) == (1 if name == "rms" else 0)


def test_no_norm_is_no_norm():
    x = features(2, 8, 3, 3)
    assert torch.equal(norm("none", 8)(x), x)


class Played:
    """Stands for two processes: adds to each sum what the other one is known to send."""

    world = 2

    def __init__(self, rank, others):
        self.rank, self.others = rank, others

    def total(self, own):
        return own + self.others.pop(0)


def test_batch_norm_over_processes_is_that_of_the_whole_batch():
    """Two halves whose statistics are exchanged: results, gradients and running statistics of one process."""
    x = features(8, 6, 3, 3).requires_grad_()
    weight = torch.linspace(0.5, 1.5, 6)
    whole = BatchNorm(6).double()
    whole.weight.data.copy_(weight)
    target = features(8, 6, 3, 3, seed=1)
    expected = whole(x)
    (gradient,) = torch.autograd.grad((expected * target).sum(), x)

    halves = [BatchNorm(6).double(), BatchNorm(6).double()]
    for half in halves:
        half.weight.data.copy_(weight)
    # Both processes run in step: what each sends is the variances and means of its own half, in a row of its own.
    parts = x.chunk(2)
    sent = [torch.stack([part.var((0, 2, 3), correction=0), part.mean((0, 2, 3))]) for part in parts]
    outputs = []
    for mine, half in enumerate(halves):
        rows = [torch.zeros_like(row) if rank == mine else row for rank, row in enumerate(sent)]
        with sharing(Played(mine, [torch.stack(rows)])):
            outputs.append(half(parts[mine]))
    joined = torch.cat(outputs)
    assert torch.allclose(joined, expected)
    assert torch.allclose(torch.autograd.grad((joined * target).sum(), x)[0], gradient)
    for half in halves:
        assert torch.allclose(half.running_mean, whole.running_mean)
        assert torch.allclose(half.running_var, whole.running_var)


def test_batch_norm_alone_compiles_whole():
    x = features(8, 6, 3, 3)
    compiled = torch.compile(BatchNorm(6).double(), backend="eager", fullgraph=True)
    assert torch.equal(compiled(x), BatchNorm(6).double()(x))


def test_batch_norm_uses_what_it_has_seen():
    layer = norm("batch", 4).double()
    for _ in range(200):
        layer(features(16, 4, 3, 3))
    x = features(16, 4, 3, 3)
    assert torch.allclose(layer.eval()(x), layer.train()(x), atol=0.02)


def test_sinusoid_is_that_of_the_paper():
    e = sinusoid(torch.tensor([0.0, 0.001, 0.5]), 8)
    assert torch.equal(e[0], torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0]))
    assert e[1, 4].item() == pytest.approx(torch.tensor(1.0).sin().item())  # the fastest turns once in 2 pi / 1000
    assert e[2, 3].item() == pytest.approx(torch.tensor(500 / 1000).cos().item())  # 10000^(3/4) = 1000 times slower


def test_labels_add_up_and_null_is_a_label():
    embed = LabelEmbedding([3, 2], 5)
    labels = torch.tensor([[0, 1], [2, -1], [-1, -1]])
    rows = [table.weight for table in embed.tables]
    expected = torch.stack([rows[0][1] + rows[1][2], rows[0][3] + rows[1][0], rows[0][0] + rows[1][0]])
    assert torch.allclose(embed(labels, 3), expected)
    assert torch.equal(embed(None, 2), embed(torch.full((2, 2), -1), 2))


def test_numbers_lie_on_a_curve_and_the_unknown_beside_it():
    torch.manual_seed(0)
    embed = LabelEmbedding([0, 3], 64)
    codes = torch.arange(0, FINE + 1, 10)
    labels = torch.stack([codes, torch.full_like(codes, 1)], 1)
    with torch.no_grad():
        curve = embed(labels, len(labels))  # (1001, 64)
        null = embed(torch.tensor([[-1, 1]]), 1)
    steps = (curve[1:] - curve[:-1]).norm(dim=1)  # a thousandth of the range each
    far = torch.cdist(curve[::100], curve[::100])[~torch.eye(11, dtype=torch.bool)]
    assert steps.max() < 0.1 * far.min(), "near numbers have near vectors, a tenth of the range apart they differ"
    assert torch.cdist(null, curve).min() > far.min(), "the unknown is none of the numbers"
    assert 0.5 < curve.square().mean().sqrt() < 1.5, "as long as a sum of value vectors"


def test_numbers_are_told_apart_by_what_is_learnt():
    """A step at 0.37 of the range, narrower than any wave, from noisy examples."""
    torch.manual_seed(0)
    embed = LabelEmbedding([0], 32)
    head = torch.nn.Linear(32, 1)
    optimiser = torch.optim.Adam([*embed.parameters(), *head.parameters()], 3e-3)
    codes = torch.linspace(0, FINE, 256).long()[:, None]
    wanted = torch.sign(codes.float() - 0.37 * FINE)
    for _ in range(300):
        loss = (head(embed(codes, 256)) - wanted).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    said = head(embed(codes, 256)).detach()
    away = (codes - 0.37 * FINE).abs() > 0.03 * FINE
    assert bool(((said * wanted) > 0.5)[away].all())


def test_forgotten_labels_say_nothing():
    embed = LabelEmbedding([3, 0], 8)
    embed.forget()
    assert not embed(torch.tensor([[0, 500], [-1, -1]]), 2).any()
    embed(torch.tensor([[0, 500], [-1, -1]]), 2).sum().backward()
    assert embed.tables[1].outer.weight.grad.any() and embed.tables[0].weight.grad.any(), "and can be learnt again"


def test_share_of_labels_dropped():
    one = drop_labels(torch.zeros(20_000, 1, dtype=torch.int64), TurnDraws((0,), 20_000), 0.2)
    assert (one < 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    two = drop_labels(torch.zeros(20_000, 2, dtype=torch.int64), TurnDraws((0,), 20_000), 0.2)
    assert (two < 0).all(1).float().mean().item() == pytest.approx(0.1 + 0.9 * 0.01, abs=0.01)
    assert (two[:, 0] < 0).float().mean().item() == pytest.approx(0.1 + 0.9 * 0.1, abs=0.01)
    kept = torch.arange(8).view(4, 2)
    assert torch.equal(drop_labels(kept, TurnDraws((0,), 4), 0.0), kept)


def test_label_memory_draws_whole_rows_as_often_as_seen():
    memory = LabelMemory([3, 2], capacity=100)
    draws = PictureDraws(0, range(4000))
    assert bool((memory.complete(None, draws) == -1).all())
    memory.see(torch.tensor([[9, 9]] * 50))
    for _ in range(5):
        memory.see(torch.tensor([[0, 5]] * 15 + [[1, 7]] * 5))  # 100 rows: the first 50 are forgotten
    drawn = memory.complete(None, draws)
    assert set(map(tuple, drawn.tolist())) == {(0, 5), (1, 7)}
    for some in (drawn, drawn[:64], drawn[100:164]):  # evenly: few pictures have classes as often as many have
        assert (some[:, 0] == 0).float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert torch.equal(memory.complete(None, PictureDraws(0, [7])), drawn[7:8])


def test_label_memory_takes_a_batch_that_is_larger_than_itself():
    memory = LabelMemory([3], capacity=8)
    memory.see(torch.arange(30).view(-1, 1))
    assert sorted(memory.rows.flatten().tolist()) == list(range(22, 30))


def test_label_memory_completes_beside_a_number_with_what_was_seen_near_it():
    memory = LabelMemory([0, 3], capacity=1000)
    ages = torch.arange(0, FINE, 10)
    memory.see(torch.stack([ages, (ages > FINE // 2).long()], 1))
    draws = PictureDraws(0, range(200))
    asked = torch.tensor([[1234, -1], [8765, -1]]).repeat(100, 1)
    found = memory.complete(asked, draws)
    assert torch.equal(found[:, 0], asked[:, 0]) and found[::2, 1].max() == 0 and found[1::2, 1].min() == 1
    found = memory.complete(torch.tensor([[-1, 0]]).repeat(200, 1), draws)
    assert found[:, 0].max() <= FINE // 2 and found[:, 0].unique().numel() > 100


def test_dropout_belongs_to_the_turn():
    layer = Dropout(0.25)
    x = torch.ones(64, 8, 4, 4)
    with layers_draw_from(TurnDraws((0, 1), 64)):
        first, second = layer(x), layer(x)
    with layers_draw_from(TurnDraws((0, 1), 64)):
        again = layer(x)
    assert torch.equal(first, again) and not torch.equal(first, second)
    assert (first == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert first.max().item() == pytest.approx(4 / 3)
    assert torch.equal(layer.eval()(x), x)


def test_dropped_channels_are_whole():
    with layers_draw_from(TurnDraws((0, 1), 64)):
        y = Dropout(0.5, along=(2, 3))(torch.ones(64, 8, 4, 4))
    assert bool(((y == 0).flatten(2).float().mean(2) % 1 == 0).all())
    assert 0.4 < (y == 0).float().mean().item() < 0.6


def test_attention_starts_as_the_identity_and_sees_every_place():
    torch.manual_seed(0)
    layer = SelfAttention(64).double()
    x = features(2, 64, 3, 4)
    assert torch.equal(layer(x), x)
    torch.nn.init.normal_(layer.out.weight)
    moved = x.clone()
    moved[:, :, 0, 0] += 1
    assert bool(((layer(moved) - layer(x)).abs().amax(1)[:, 1:, 1:] > 0).all())


def test_attention_agrees_with_its_formula():
    torch.manual_seed(0)
    layer = SelfAttention(8, heads=2).double()
    torch.nn.init.normal_(layer.out.weight)
    x = features(1, 8, 2, 3)
    tokens = layer.qkv(layer.norm(x)).flatten(2).transpose(1, 2)[0]  # (6, 24)
    heads = []
    for h in range(2):
        q, k, v = (tokens[:, part * 8 + 4 * h : part * 8 + 4 * h + 4] for part in range(3))
        logits = F.normalize(q, dim=1) @ F.normalize(k, dim=1).T * 2
        heads.append(logits.softmax(1) @ v)
    y = torch.cat(heads, 1).T.view(1, 8, 2, 3)
    assert torch.allclose(layer(x), x + layer.out(y), atol=1e-6)
