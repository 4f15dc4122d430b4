"""The UNet: any size, any number of channels, zero at first, one picture at a time."""

import pytest
import torch

from limner.draws import TurnDraws, layers_draw_from
from limner.errors import UserError
from limner.nn.conv import margins
from limner.nn.unet import SeparableBlock, UNet, UNetConfig

SMALL = UNetConfig(widths=(16, 32), blocks=(1, 1), embedding=32)


def alive(config, channels=1, values=()):
    """A UNet whose zero layers are not zero."""
    torch.manual_seed(0)
    network = UNet(config, channels, channels, values)
    for parameter in network.parameters():
        if parameter.dim() == 4 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return network


@pytest.mark.parametrize("patch", [1, 2, 4, 8])
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 9, 13), (4, 28, 20), (1, 5, 31)])
def test_any_size_comes_out_as_it_went_in(patch, channels, height, width):
    network = alive(UNetConfig(patch=patch, widths=(8, 16, 16), blocks=(1, 1, 1), embedding=16), channels)
    x = torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(0))
    assert network(x, torch.tensor([0.1, 0.9])).shape == x.shape


@pytest.mark.parametrize("side", [256, 512, 1024])
def test_shapes_of_large_pictures(side):
    with torch.device("meta"):
        network = UNet(UNetConfig(patch=8, widths=(64, 128, 256), blocks=(1, 1, 2), attention=(2,)), 3, 3, (10,))
        y = network(torch.empty(2, 3, side, side // 2), torch.empty(2), torch.zeros(2, 1, dtype=torch.int64))
    assert y.shape == (2, 3, side, side // 2)


@pytest.mark.parametrize("block", ["full", "separable"])
def test_gives_zero_at_first_and_every_parameter_learns(block):
    torch.manual_seed(0)
    config = UNetConfig(widths=(16, 32), blocks=(1, 1), attention=(1,), embedding=32, block=block)
    network = UNet(config, 1, 1, (3,))
    x, time, labels = torch.randn(3, 1, 8, 8), torch.tensor([0.2, 0.5, 0.8]), torch.tensor([[0], [1], [-1]])
    assert not network(x, time, labels).any()
    live = alive(network.config, 1, (3,))
    live(x, time, labels).square().sum().backward()
    still = [name for name, p in live.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


def test_a_separable_block_is_its_formula():
    torch.manual_seed(0)
    block = SeparableBlock(8, UNetConfig(embedding=4, expansion=3), False, 0.0)
    torch.nn.init.normal_(block.narrow.weight, std=0.3)
    x, told = torch.randn(2, 8, 5, 5), torch.randn(2, 4)
    scale, shift = block.film(told)[:, :, None, None].chunk(2, 1)
    inner = torch.einsum("oc,bchw->bohw", block.widen.weight[:, :, 0, 0], block.norm(x) * (1 + scale) + shift)
    inner = torch.nn.functional.pad(inner + block.widen.bias[:, None, None], (1, 1, 1, 1))
    mixed = block.places.bias[:, None, None] + sum(
        block.places.weight[:, 0, i, j, None, None] * inner[:, :, i : i + 5, j : j + 5]
        for i in (0, 1, 2)
        for j in (0, 1, 2)
    )
    mixed = mixed * mixed.sigmoid()
    assert mixed.shape[1] == 24
    expected = x + torch.einsum("oc,bchw->bohw", block.narrow.weight[:, :, 0, 0], mixed)
    assert torch.allclose(block(x, told), expected, atol=1e-5)


def test_padding_does_not_reach_the_far_side():
    """A picture is padded by half on each side and cropped at the same places."""
    assert margins((28, 28), 4) == (0, 0, 0, 0)
    assert margins((9, 13), 8) == (3, 4, 1, 2)
    assert margins((112, 92), 32) == (8, 8, 2, 2)


def test_time_and_labels_change_the_answer():
    network = alive(SMALL, 1, (3, 2))
    for block in network.modules():
        if isinstance(block, torch.nn.Linear):
            torch.nn.init.normal_(block.weight, std=0.2)
    x = torch.randn(1, 1, 8, 8)
    base = network(x, torch.tensor([0.3]), torch.tensor([[0, 1]]))
    assert not torch.allclose(base, network(x, torch.tensor([0.4]), torch.tensor([[0, 1]])))
    assert not torch.allclose(base, network(x, torch.tensor([0.3]), torch.tensor([[1, 1]])))
    assert not torch.allclose(base, network(x, torch.tensor([0.3]), torch.tensor([[0, -1]])))
    nothing = network(x, torch.tensor([0.3]), torch.tensor([[-1, -1]]))
    assert torch.equal(nothing, network(x, torch.tensor([0.3])))


@pytest.mark.parametrize("name", ["layer", "group", "rms", "none"])
def test_pictures_of_a_batch_do_not_meet(name):
    network = alive(UNetConfig(widths=(16, 32), blocks=(1, 1), embedding=32, norm=name, attention=(1,))).double()
    x, time = torch.randn(5, 1, 12, 12, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
    assert torch.allclose(network(x, time)[2:3], network(x[2:3], time[2:3]), atol=1e-10)


def test_layout_of_memory_does_not_matter():
    network = alive(SMALL, 3)
    x, time = torch.randn(4, 3, 12, 12), torch.rand(4)
    expected = network(x, time)
    network.to(memory_format=torch.channels_last)
    assert torch.allclose(network(x.to(memory_format=torch.channels_last), time), expected, atol=1e-4)


def test_dropout_repeats_with_its_turn():
    network = alive(UNetConfig(widths=(16,), blocks=(1,), embedding=32, dropout=0.3)).train()
    x, time = torch.randn(4, 1, 8, 8), torch.rand(4)
    outputs = []
    for step in (0, 0, 1):
        with layers_draw_from(TurnDraws((0, step), 4)):
            outputs.append(network(x, time))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (UNetConfig(widths=(8, 16), blocks=(1,)), "2 widths but 1 blocks"),
        (UNetConfig(attention=(2,)), "attention at level 2"),
        (UNetConfig(dropout=1.0), "leaves nothing"),
    ],
)
def test_impossible_configs_are_refused(config, says):
    with pytest.raises(UserError, match=says):
        config.check()
