"""Normalisation layers by name, for features (B, C, H, W)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.errors import UserError
from limner.processes import Processes, current

NormName = Literal["group", "layer", "rms", "pixel", "batch", "instance", "none"]

EPS = 1e-5
GROUP_CHANNELS = 8


def norm(name: NormName, channels: int, affine: bool = True) -> nn.Module:
    """The named layer for `channels` features; `affine` adds a learned scale and shift (rms: a scale alone).

    group: in groups of at least 8 channels (1803.08494). layer: over all values of a picture. rms: over the channels of
    a pixel (1910.07467). pixel: the same without a learned scale (1710.10196, section 4.2). batch, instance, none.
    """
    if name == "group":
        return nn.GroupNorm(groups(channels), channels, eps=EPS, affine=affine)
    if name == "layer":
        # One group: on CPUs several times faster than many of them, since each picture is one run of memory.
        return nn.GroupNorm(1, channels, eps=EPS, affine=affine)
    if name == "instance":
        return nn.GroupNorm(channels, channels, eps=EPS, affine=affine)
    if name == "batch":
        return BatchNorm(channels, affine=affine)
    if name in ("rms", "pixel"):
        return RMSNorm(channels, affine=affine and name == "rms")
    assert name == "none", name
    return nn.Identity()


def groups(channels: int) -> int:
    """The greatest number of groups, at most 32, that divides `channels` into groups of 8 or more."""
    return max((g for g in range(1, 33) if channels % g == 0 and channels // g >= GROUP_CHANNELS), default=1)


class RMSNorm(nn.Module):
    """Divides each pixel's features by their root mean square."""

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        scale = over_rms(x, 1)  # (B, 1, H, W)
        if self.weight is not None:
            scale = scale * self.weight.view(1, -1, 1, 1)
        return x * scale.to(x.dtype)


def over_rms(x: Tensor, dim: int) -> Tensor:
    """1 over the root mean square along `dim`, which stays with length 1; in float32 or more."""
    return torch.rsqrt(wide(x).square().mean(dim, keepdim=True) + EPS)


def wide(x: Tensor) -> Tensor:
    """In float32 or more: for squares, which need the range, and for sums over many values."""
    return x if x.dtype == torch.float64 else x.float()


class BatchNorm(nn.Module):
    """Batch normalisation (1502.03167), its statistics those of the global batch where processes share one."""

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, affine: bool = True, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) or (B, C) to the same shape."""
        processes = current()
        if processes.world > 1 and self.training:
            return self._over(processes, x)
        if self.training and x.numel() == x.shape[1]:
            raise UserError("batch normalisation needs more than one picture at a time: choose a larger --batch")
        mean, var = self.running_mean, self.running_var
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, self.momentum, EPS)

    def _over(self, processes: Processes, x: Tensor) -> Tensor:
        dims = [d for d in range(x.dim()) if d != 1]
        own = torch.stack(torch.var_mean(wide(x), dims, correction=0))  # (2, C), variances first
        # Each process fills in its own row, so that one sum over processes gives all rows to all.
        rows = [own if rank == processes.rank else torch.zeros_like(own) for rank in range(processes.world)]
        vars_, means = processes.total(torch.stack(rows)).unbind(1)  # (P, C) each, of equally many pictures
        mean = means.mean(0)  # (C,)
        var = vars_.mean(0) + (means - mean).square().mean(0)  # (C,)
        count = processes.world * x.numel() // x.shape[1]
        with torch.no_grad():
            unbiased = var * (count / max(count - 1, 1))
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        scale, shift = torch.rsqrt(var + EPS), -mean * torch.rsqrt(var + EPS)
        if self.weight is not None and self.bias is not None:
            scale, shift = scale * self.weight, shift * self.weight + self.bias
        shape = (1, -1) + (1,) * (x.dim() - 2)
        y = torch.addcmul(shift.view(shape), wide(x), scale.view(shape))
        return y.to(x.dtype)
