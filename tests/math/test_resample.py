"""Every way up and down against its formula or another library's answer."""

import numpy as np
import pytest
import scipy.interpolate
import scipy.ndimage
import torch

from limner.nn import resample
from limner.nn.conv import pyramid


def pictures(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("way", ["transposed", "nearest", "bilinear", "cubic", "pixel-shuffle"])
@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_up_doubles_any_size(way, kernel):
    assert resample.up(way, 3, 5, kernel)(torch.zeros(2, 3, 7, 4)).shape == (2, 5, 14, 8)


@pytest.mark.parametrize("way", ["strided", "average", "max", "antialiased"])
@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_down_halves(way, kernel):
    assert resample.down(way, 3, 5, kernel)(torch.zeros(2, 3, 14, 8)).shape == (2, 5, 7, 4)


def test_transposed_gives_every_pixel_as_many_contributions():
    """No checkerboard at the start: a constant picture stays constant inside."""
    for kernel in (3, 4, 5, 6):
        layer = resample.up("transposed", 1, 1, kernel, bias=False)
        torch.nn.init.ones_(layer.weight)
        inside = layer(torch.ones(1, 1, 8, 8))[..., 4:-4, 4:-4]
        assert inside.unique().numel() == 1


def test_nearest_and_bilinear():
    x = torch.tensor([[0.0, 4.0]]).reshape(1, 1, 1, 2)
    assert resample.upsampled(x, "nearest")[0, 0, 0].tolist() == [0, 0, 4, 4]
    assert resample.upsampled(x, "bilinear")[0, 0, 0].tolist() == [0, 1, 3, 4]


def test_pixel_shuffle_moves_channels_into_space():
    layer = resample.up("pixel-shuffle", 1, 1, 1)
    with torch.no_grad():
        layer[0].weight[:] = 1
        layer[0].bias[:] = torch.tensor([0.0, 10, 20, 30])
    assert layer(torch.ones(1, 1, 1, 1))[0, 0].tolist() == [[1, 11], [21, 31]]


@pytest.mark.parametrize("shape", [(9, 9), (8, 14), (5, 32)])
def test_cubic_spline_agrees_with_scipy(shape):
    x = pictures(*shape)
    theirs = scipy.ndimage.zoom(x.numpy(), 2, order=3, mode="reflect", grid_mode=True)
    ours = resample.upsampled(x[None, None], "cubic")[0, 0]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)  # theirs cuts its recursion off at a tolerance


def test_cubic_spline_is_the_smooth_interpolant():
    """Far from the edges it is the C2 spline of the textbook, and it goes through the samples."""
    x = pictures(40)
    weights = resample.spline_matrix(40, 40 * 3)
    places = (np.arange(120) + 0.5) / 3 - 0.5
    theirs = scipy.interpolate.CubicSpline(np.arange(40), x.numpy())(places)
    np.testing.assert_allclose((weights @ x)[45:75], theirs[45:75], atol=1e-4)
    np.testing.assert_allclose((weights @ x)[1::3], x, atol=1e-9)


def test_cubic_spline_shrinks_and_keeps_lines_straight():
    ramp = torch.arange(24.0, dtype=torch.float64).expand(1, 1, 24, 24)
    shrunk = resample.spline_resized(ramp, (12, 12))[0, 0, 6]
    np.testing.assert_allclose(shrunk[4:8], [8.5, 10.5, 12.5, 14.5], atol=1e-2)


def test_pooling_and_antialiasing():
    x = pictures(1, 2, 4, 6)
    blocks = x.unfold(2, 2, 2).unfold(3, 2, 2)
    torch.testing.assert_close(resample.downsampled(x, "average"), blocks.mean((-1, -2)))
    torch.testing.assert_close(resample.downsampled(x, "max"), blocks.amax((-1, -2)))
    impulse = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    impulse[0, 0, 3, 3] = 1
    near = resample.downsampled(impulse, "antialiased")[0, 0, 1:3, 1:3]
    torch.testing.assert_close(near * 64, torch.tensor([[9.0, 3], [3, 1]], dtype=torch.float64))


def test_antialiasing_forgets_the_phase_of_a_stripe():
    """Stripes one pixel wide come out grey wherever they start, where every second pixel would be black or white."""
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 1, 16, 16)
    assert resample.downsampled(stripes, "antialiased")[..., 1:-1, 1:-1].abs().max() < 1e-6


@pytest.mark.parametrize(
    ("size", "start", "levels"),
    [
        ((28, 28), (7, 7), 2),
        ((32, 32), (4, 4), 3),
        ((64, 64), (4, 4), 4),
        ((112, 92), (7, 6), 4),
        ((8, 8), (4, 4), 1),
        ((100, 100), (7, 7), 4),
        ((8, 64), (4, 32), 1),
        ((5, 5), (5, 5), 0),
    ],
)
def test_pyramid_reaches_the_size_from_below_eight(size, start, levels):
    assert pyramid(*size) == (start, levels)
    assert all(0 <= s * 2**levels - n < 2**levels for s, n in zip(start, size, strict=True))
