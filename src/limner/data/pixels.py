"""The only functions that scale pixels: uint8 or uint16 on disk, float in [-1, 1] in memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_float(x: np.ndarray | Tensor) -> Tensor:
    """Pixels (..., H, W, C), uint8 or uint16, to a contiguous float32 tensor (..., C, H, W) in [-1, 1].

    0 becomes -1 and the largest value 1. Raises TypeError for any other type.
    """
    half = {"uint8": 127.5, "uint16": 32767.5}.get(str(x.dtype).removeprefix("torch."))
    if half is None:
        raise TypeError(f"pixels must be uint8 or uint16, got {x.dtype}")
    if isinstance(x, np.ndarray):
        x = torch.from_numpy(x if x.flags.writeable else x.copy())
    # Moving bytes is cheaper than moving floats, so the channels change place first.
    return x.movedim(-1, -3).contiguous().to(torch.float32).div_(half).sub_(1.0)


def to_uint8(x: Tensor) -> np.ndarray:
    """Float pictures (..., C, H, W) in [-1, 1] to uint8 (..., H, W, C): rounded, clamped, NaN to 0."""
    return _quantise(x, 255).astype(np.uint8)


def to_uint16(x: Tensor) -> np.ndarray:
    """Float pictures (..., C, H, W) in [-1, 1] to uint16 (..., H, W, C): rounded, clamped, NaN to 0."""
    return _quantise(x, 65535).astype(np.uint16)


def _quantise(x: Tensor, top: int) -> np.ndarray:
    x = x.detach().to("cpu", torch.float32).movedim(-3, -1)
    x = torch.nan_to_num((x + 1.0) * (top / 2), nan=0.0, posinf=top, neginf=0.0)
    return x.clamp_(0, top).round_().to(torch.int32).contiguous().numpy()
