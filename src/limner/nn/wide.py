"""Arithmetic that must not be rounded to bfloat16, whatever the rest of a network does."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor


def wide(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    """A context without autocast on the device of `x`; on the meta device, which has none, nothing."""
    return contextlib.nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)
