"""Scaling and resizing: one function each way, exact, and equal to Pillow."""

import numpy as np
import pytest
import torch
from PIL import Image

from limner.data import to_float, to_uint8, to_uint16
from limner.data.resize import resize


def test_round_trip_is_exact():
    eight = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert np.array_equal(to_uint8(to_float(eight)), eight)
    sixteen = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    assert np.array_equal(to_uint16(to_float(sixteen)), sixteen)


def test_range_shape_and_rounding():
    x = np.zeros((2, 5, 6, 3), np.uint8)
    x[1] = 255
    y = to_float(x)
    assert y.shape == (2, 3, 5, 6) and y.is_contiguous() and y[0].eq(-1).all() and y[1].eq(1).all()
    assert torch.equal(to_float(torch.from_numpy(x)), y)
    values = torch.tensor([-5.0, -1.0, 0.0, 0.0041, 1.0, 7.0, float("nan"), float("inf"), float("-inf")]).reshape(
        1, 3, 3
    )
    assert to_uint8(values)[..., 0].ravel().tolist() == [0, 0, 128, 128, 255, 255, 0, 255, 0]
    read_only = x.copy()
    read_only.flags.writeable = False
    assert torch.equal(to_float(read_only), y)
    with pytest.raises(TypeError, match="float32"):
        to_float(x.astype(np.float32))


@pytest.mark.parametrize("size", [(8, 8), (50, 31), (20, 7), (20, 30)])
@pytest.mark.parametrize("filter", ["box", "bilinear", "hamming", "bicubic", "lanczos"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_resize_agrees_with_pillow(size, filter, channels):
    x = np.random.default_rng(0).integers(0, 256, (3, 20, 30, channels), dtype=np.uint8)
    found = resize(x, size, filter)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
    for a, b in zip(x, found, strict=True):
        image = Image.frombytes(mode, (30, 20), a.tobytes())
        wanted = np.asarray(image.resize(size[::-1], Image.Resampling[filter.upper()])).reshape(*size, channels)
        assert np.array_equal(b, wanted)
    assert np.array_equal(resize(x[0], size, filter), found[0])


def test_resize_is_antialiased_and_keeps_sixteen_bits():
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None]
    assert np.abs(resize(board, (8, 8)).astype(int)[1:-1, 1:-1] - 128).max() <= 2
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None, :, None].repeat(64, 0)
    small = resize(ramp, (16, 16))
    assert small.dtype == np.uint16 and np.abs(np.diff(small[8, 2:-2, 0].astype(int)) - 65535 * 4 / 63).max() < 3
