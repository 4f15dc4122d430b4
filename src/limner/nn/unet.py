"""A small convolutional UNet, shaped for processors: half the resolution at once, cheap norms, few wide blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from limner.config import Count, Fraction, Options, Positive
from limner.errors import UserError
from limner.nn.attention import SelfAttention
from limner.nn.conv import cropped, framed, zeroed
from limner.nn.dropout import Dropout
from limner.nn.embed import LabelEmbedding, TimeEmbedding
from limner.nn.norm import NormName, norm

Patch = Literal[1, 2, 4, 8]


class UNetConfig(Options, tag_field="kind", tag="unet"):
    """Sizes of a UNet.

    Attributes:
        patch: side of the squares of pixels that become one place of the finest level (space to depth).
        widths: channels of each level, finest first; each level has half the resolution of the one before.
        blocks: residual blocks of each level, on the way down and again on the way up; the coarsest has them once.
        block: "full" mixes places and channels at once, in two 3x3 convolutions. "separable" mixes places channel by
            channel and channels place by place, at `expansion` times the width: a third of the time for a block.
        expansion: of "separable" blocks (2).
        attention: levels (0 is the finest) whose blocks are followed by self-attention.
        embedding: width of the time and label embedding.
        dropout: share of values dropped inside the blocks of the coarsest level.
    """

    patch: Patch = 2
    widths: tuple[Positive, ...] = (64, 128)
    blocks: tuple[Positive, ...] = (2, 4)
    block: Literal["full", "separable"] = "full"
    expansion: Annotated[float, Meta(ge=0.5, le=8)] | None = None
    attention: tuple[Count, ...] = ()
    embedding: Positive = 128
    norm: NormName = "layer"
    dropout: Fraction = 0.0

    def check(self) -> None:
        """Raise `UserError` where the parts do not fit together."""
        if not self.widths or len(self.widths) != len(self.blocks):
            raise UserError(f"unet: {len(self.widths)} widths but {len(self.blocks)} blocks: give one of each a level")
        if beyond := [level for level in self.attention if level >= len(self.widths)]:
            raise UserError(f"unet: attention at level {beyond[0]}, but the levels are 0 to {len(self.widths) - 1}")
        if self.expansion is not None and self.block != "separable":
            raise UserError(f"unet: expansion={self.expansion:g} has no meaning under block={self.block}")
        if self.dropout >= 1:
            raise UserError(f"unet: dropout {self.dropout} leaves nothing; give less than 1")

    @property
    def multiple(self) -> int:
        """Heights and widths are padded to a multiple of this inside."""
        return int(self.patch) << (len(self.widths) - 1)


class Block(nn.Module):
    """x + conv(silu(film(norm(conv(silu(norm(x))))))), as in 2105.05233; the last convolution starts at zero."""

    def __init__(self, width: int, config: UNetConfig, attention: bool, dropout: float) -> None:
        super().__init__()
        self.norm1 = norm(config.norm, width)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.norm2 = norm(config.norm, width, affine=False)
        self.film = nn.Linear(config.embedding, 2 * width)
        self.dropout = Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(width, width, 3, padding=1))
        self.attention = SelfAttention(width) if attention else nn.Identity()

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        """(B, C, H, W), (B, E) to (B, C, H, W)."""
        scale, shift = self.film(embedded)[:, :, None, None].chunk(2, 1)  # (B, C, 1, 1); 1709.07871, equation 2
        h = self.norm2(self.conv1(F.silu(self.norm1(x))))
        h = F.silu(torch.addcmul(shift.to(h.dtype), h, scale.to(h.dtype) + 1))
        h = self.attention(x + self.conv2(self.dropout(h)))
        return h


class SeparableBlock(nn.Module):
    """x + narrow(silu(places(widen(film(norm(x)))))): wide, channel by channel between place by place.

    The inverted residual of Sandler et al. 2018, 1801.04381, told time and labels like `Block`; its last layer starts
    at zero.
    """

    def __init__(self, width: int, config: UNetConfig, attention: bool, dropout: float) -> None:
        super().__init__()
        inner = round(width * (config.expansion or 2))
        self.norm = norm(config.norm, width, affine=False)
        self.film = nn.Linear(config.embedding, 2 * width)
        self.widen = nn.Conv2d(width, inner, 1)
        self.places = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.dropout = Dropout(dropout)
        self.narrow = zeroed(nn.Conv2d(inner, width, 1))
        self.attention = SelfAttention(width) if attention else nn.Identity()

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        """(B, C, H, W), (B, E) to (B, C, H, W)."""
        scale, shift = self.film(embedded)[:, :, None, None].chunk(2, 1)  # (B, C, 1, 1)
        h = self.norm(x)
        h = torch.addcmul(shift.to(h.dtype), h, scale.to(h.dtype) + 1)
        h = F.silu(self.places(self.widen(h)))  # (B, inner, H, W)
        h = self.attention(x + self.narrow(self.dropout(h)))
        return h


BLOCKS = {"full": Block, "separable": SeparableBlock}


class UNet(nn.Module):
    """Noisy pictures, times and labels to something of the pictures' shape. Starts by giving zero.

    Args:
        channels_in, channels_out: of the pictures.
        values: of each attribute that pictures are labelled with how many there are, 0 for a number; () for none.
    """

    def __init__(self, config: UNetConfig, channels_in: int, channels_out: int, values: Sequence[int] = ()) -> None:
        super().__init__()
        self.config = config
        widths, pixels, kind = config.widths, config.patch**2, BLOCKS[config.block]
        self.time = TimeEmbedding(config.embedding)
        self.labels = LabelEmbedding(values, config.embedding) if values else None
        self.stem = nn.Conv2d(channels_in * pixels, widths[0], 3, padding=1)
        self.down, self.up, self.lower, self.raise_, self.merge = (nn.ModuleList() for _ in range(5))
        for level, (width, count) in enumerate(zip(widths, config.blocks, strict=True)):
            attends, coarsest = level in config.attention, level + 1 == len(widths)
            dropped = config.dropout if coarsest else 0.0
            self.down.append(nn.ModuleList(kind(width, config, attends, dropped) for _ in range(count)))
            if not coarsest:
                self.lower.append(nn.Conv2d(width, widths[level + 1], 2, stride=2))
                self.raise_.append(nn.Conv2d(widths[level + 1], width, 1))
                self.merge.append(nn.Conv2d(2 * width, width, 1))
                self.up.append(nn.ModuleList(kind(width, config, attends, 0.0) for _ in range(count)))
        self.norm = norm(config.norm, widths[0])
        self.head = zeroed(nn.Conv2d(widths[0], channels_out * pixels, 3, padding=1))

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B,) in [0, 1], (B, A) with -1 for null, to (B, C', H, W)."""
        return self.knowing(x, time, labels)[1]

    def knowing(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`features` and what `forward` gives, at the cost of the latter."""
        embedded = self.embedded(time, labels)
        known, skips = self.descended(x, embedded)
        h = known
        for level in reversed(range(len(self.up))):
            h = F.interpolate(self.raise_[level](h), scale_factor=2, mode="nearest")
            h = self.merge[level](torch.cat([h, skips[level]], 1))
            for block in self.up[level]:  # type: ignore[attr-defined]
                h = block(h, embedded)

        y = F.pixel_shuffle(self.head(F.silu(self.norm(h))), self.config.patch)
        return known, cropped(y, *x.shape[2:])

    @property
    def known(self) -> int:
        """Channels of `features`."""
        return self.config.widths[-1]

    def features(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """What is known at the coarsest level, (B, C', H', W'); arguments as for `forward`, at half its cost."""
        return self.descended(x, self.embedded(time, labels))[0]

    def embedded(self, time: Tensor, labels: Tensor | None) -> Tensor:
        """(B,), (B, A) or None to (B, E)."""
        embedded = self.time(time)
        if self.labels is not None:
            embedded = embedded + self.labels(labels, len(time))
        return F.silu(embedded)

    def descended(self, x: Tensor, embedded: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The coarsest level's values, and of each finer one those that skip it."""
        h = self.stem(F.pixel_unshuffle(framed(x, self.config.multiple), self.config.patch))
        skips = []
        for level, blocks in enumerate(self.down):
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, embedded)
            if level < len(self.lower):
                skips.append(h)
                h = self.lower[level](h)
        return h, skips
