"""The small convolutional network behind the default features.

Ten 3x3 convolutions in four stages; the means over space of the last three stages, standardised, are the features. It
has no normalisation layer (that of training is folded into the convolutions): a picture's features do not depend on its
batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (24, 48, 96, 160)
DEPTHS = (1, 3, 3, 3)


def layout(widths: tuple[int, ...] = WIDTHS, depths: tuple[int, ...] = DEPTHS) -> list[tuple[int, int, int, int]]:
    """(stage, channels in, channels out, stride) of each convolution, from the picture upwards."""
    rows, before = [], 3
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for place in range(depth):
            rows.append((stage, before, width, 2 if stage and place == 0 else 1))
            before = width
    return rows


class FeatureNetwork(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] to standardised features (B, D); H and W of 32 or 64 as in training.

    `heads` gives the number of classes of each linear classifier that was trained along, by name.
    """

    def __init__(
        self,
        heads: dict[str, int] | None = None,
        widths: tuple[int, ...] = WIDTHS,
        depths: tuple[int, ...] = DEPTHS,
    ) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        rows = layout(widths, depths)
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, stride, 1) for _, i, o, stride in rows)
        stages = [stage for stage, *_ in rows]
        self.pooled = [k for k, s in enumerate(stages) if s and (k + 1 == len(stages) or stages[k + 1] != s)]
        self.dimension = sum(widths[1:])
        self.register_buffer("mean", torch.zeros(self.dimension))
        self.register_buffer("deviation", torch.ones(self.dimension))
        self.heads = nn.ModuleDict({name: nn.Linear(self.dimension, n) for name, n in (heads or {}).items()})

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, D) of pictures (B, 3, H, W) in [-1, 1]."""
        pooled = []
        for k, convolution in enumerate(self.convolutions):
            x = F.relu(convolution(x), inplace=not torch.is_grad_enabled())
            if k in self.pooled:
                pooled.append(x.mean((2, 3)))
        return (torch.cat(pooled, 1) - self.mean) / self.deviation  # (B, D)
