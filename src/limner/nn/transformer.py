"""A transformer over squares of pixels, told by adaptive norms how noisy a picture is and what is asked of it.

Peebles & Xie 2022, "Scalable diffusion models with transformers", 2212.09748 (adaLN-zero); with the parts that later
ones agree on: root mean square norms (1910.07467), also of queries and keys (2302.05442), rotary positions (2104.09864)
along rows and columns (2403.13298), and a gated MLP (2002.05202).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from msgspec import Meta
from torch import Tensor, nn

from limner.config import Fraction, Options, Positive
from limner.draws import layer_uniform
from limner.errors import UserError
from limner.nn.attention import attend
from limner.nn.conv import cropped, framed, zeroed
from limner.nn.dropout import Dropout
from limner.nn.embed import LabelEmbedding, TimeEmbedding, sinusoid
from limner.nn.norm import over_rms

SLOWEST = 100.0
"""How much slower than the fastest, which turns by 1 from place to place, the slowest rotation is (2403.13298)."""

ROUND = 16
"""Hidden layers have a multiple of so many values, as matrix products like it."""

Patch = Literal[1, 2, 4, 8, 16]


class TransformerConfig(Options, tag_field="kind", tag="transformer"):
    """Sizes of a transformer.

    Attributes:
        patch: side of the squares of pixels that become one token.
        width: values of a token. depth: number of blocks.
        heads: of the attention; each has `width / heads` values.
        mlp: its nonlinearity; "swiglu" has a gate.
        ratio: the MLP costs as much as if its hidden layer were so many times as wide as a token.
        embedding: width of the time and label embedding.
        dropout: share of the MLPs' hidden values that is dropped, each at all places of a picture.
        routing: share of a picture's tokens that skip the middle half of the blocks in training (2501.04765).
    """

    patch: Patch = 2
    width: Positive = 192
    depth: Positive = 8
    heads: Positive = 4
    mlp: Literal["swiglu", "gelu"] = "swiglu"
    ratio: Annotated[float, Meta(gt=0, le=64)] = 4.0
    embedding: Positive = 128
    dropout: Fraction = 0.0
    routing: Fraction = 0.0

    def check(self) -> None:
        """Raise `UserError` where the parts do not fit together."""
        if self.width % (4 * self.heads):
            raise UserError(
                f"transformer: width {self.width} in {self.heads} heads: give a width that is a multiple of 4 a head, "
                f"such as {4 * self.heads * max(1, round(self.width / (4 * self.heads)))}"
            )
        for name in ("dropout", "routing"):
            if getattr(self, name) >= 1:
                raise UserError(f"transformer: {name} {getattr(self, name):g} leaves nothing; give less than 1")
        if self.routing and self.middle == (0, self.depth):
            raise UserError(f"transformer: routing needs a depth of 4 and more for blocks to skip, not {self.depth}")

    @property
    def multiple(self) -> int:
        """Heights and widths are padded to a multiple of this inside."""
        return int(self.patch)

    @property
    def middle(self) -> tuple[int, int]:
        """The first of the blocks that tokens may skip, and the one after them."""
        return self.depth // 4, self.depth - self.depth // 4

    @property
    def hidden(self) -> int:
        """Width of the MLPs' hidden layer; with a gate there are three matrices rather than two."""
        wanted = self.ratio * self.width * (2 / 3 if self.mlp == "swiglu" else 1)
        return max(ROUND, ROUND * round(wanted / ROUND))


Turns = tuple[Tensor, Tensor]
"""Cosines and sines that turn a head's values at each place, each (1 or B, T, 1, 1, d)."""


class Block(nn.Module):
    """x + gate attention(norm(x)), then x + gate mlp(norm(x)); norms and gates follow the embedding (2212.09748).

    The modulation starts at zero, with closed gates: at first the block does nothing.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width, self.heads = config.width, config.heads
        self.modulation = zeroed(nn.Linear(config.embedding, 6 * width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.gain = nn.Parameter(torch.ones(2, 1, width // config.heads))  # of queries and keys
        self.out = nn.Linear(width, width)
        self.gated = config.mlp == "swiglu"
        self.wide = nn.Linear(width, (1 + self.gated) * config.hidden)
        self.dropout = Dropout(config.dropout, along=(1,))
        self.narrow = nn.Linear(config.hidden, width)

    def forward(self, x: Tensor, embedded: Tensor, turns: Turns) -> Tensor:
        """(B, T, W), (B, E) to (B, T, W)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(embedded)[:, None].chunk(6, -1)  # (B, 1, W)
        x = torch.addcmul(x, gate1.to(x.dtype), self.attention(modulated(x, scale1, shift1), turns).to(x.dtype))
        return torch.addcmul(x, gate2.to(x.dtype), self.mlp(modulated(x, scale2, shift2)).to(x.dtype))

    def attention(self, x: Tensor, turns: Turns) -> Tensor:
        """(B, T, W) to (B, T, W)."""
        B, T, W = x.shape
        parts = self.qkv(x).view(B, T, 3, self.heads, W // self.heads)
        both, v = parts[:, :, :2], parts[:, :, 2]  # (B, T, 2, heads, d), (B, T, heads, d)
        # Logits stay bounded however the weights grow.
        both = turned(both * (over_rms(both, -1) * self.gain).to(both.dtype), turns)
        q, k = both.permute(2, 0, 3, 1, 4)  # each (B, heads, T, d)
        y = attend(q, k, v.transpose(1, 2), (W // self.heads) ** -0.5)
        y = self.out(y.transpose(1, 2).reshape(B, T, W))
        return y

    def mlp(self, x: Tensor) -> Tensor:
        """(B, T, W) to (B, T, W)."""
        h = self.wide(x)  # (B, T, hidden), or twice as many
        if self.gated:
            gate, h = h.chunk(2, -1)
            h = F.silu(gate) * h
        else:
            h = F.gelu(h)
        h = self.narrow(self.dropout(h))
        return h


class Transformer(nn.Module):
    """Noisy pictures, times and labels to something of the pictures' shape. Starts by giving zero.

    Args:
        channels_in, channels_out: of the pictures.
        values: of each attribute that pictures are labelled with how many there are, 0 for a number; () for none.
    """

    def __init__(
        self, config: TransformerConfig, channels_in: int, channels_out: int, values: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.config = config
        width, pixels = config.width, config.patch**2
        self.time = TimeEmbedding(config.embedding)
        self.labels = LabelEmbedding(values, config.embedding) if values else None
        # Squares see a pixel's neighbours in the next square, so that no seams are left between them.
        self.stem = nn.Conv2d(channels_in * pixels, width, 3, padding=1)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.modulation = zeroed(nn.Linear(config.embedding, 2 * width))
        self.head = zeroed(nn.Conv2d(width, channels_out * pixels, 3, padding=1))

    def forward(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, C, H, W), (B,) in [0, 1], (B, A) with -1 for null, to (B, C', H, W)."""
        return self.knowing(x, time, labels)[1]

    def knowing(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`features` and what `forward` gives, at the cost of the latter."""
        embedded = self.embedded(time, labels)
        h, turns, shape = self.tokens(x)
        known, h = self.through(h, embedded, turns)
        scale, shift = self.modulation(embedded)[:, None].chunk(2, -1)
        h = modulated(h, scale, shift).mT.unflatten(2, shape)  # (B, W, h, w)
        y = F.pixel_shuffle(self.head(h), self.config.patch)
        return known.mT.unflatten(2, shape), cropped(y, *x.shape[2:])

    @property
    def known(self) -> int:
        """Channels of `features`."""
        return self.config.width

    def features(self, x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """What is known after half of the blocks, (B, W, h, w); arguments as for `forward`, at half its cost."""
        embedded = self.embedded(time, labels)
        h, turns, shape = self.tokens(x)
        for block in self.blocks[: len(self.blocks) // 2]:
            h = block(h, embedded, turns)
        return h.mT.unflatten(2, shape)

    def embedded(self, time: Tensor, labels: Tensor | None) -> Tensor:
        """(B,), (B, A) or None to (B, E)."""
        embedded = self.time(time)
        if self.labels is not None:
            embedded = embedded + self.labels(labels, len(time))
        return F.silu(embedded)

    def tokens(self, x: Tensor) -> tuple[Tensor, Turns, tuple[int, int]]:
        """(B, C, H, W) to tokens (B, T, W), the turns of their places, and how many places there are: (h, w)."""
        h = self.stem(F.pixel_unshuffle(framed(x, self.config.multiple), self.config.patch))
        height, width = h.shape[2:]
        h = h.flatten(2).mT.contiguous()  # (B, T, W)
        h = h + places(height, width, self.config.width, h.device).to(h.dtype)
        return h, rotations(height, width, self.config.width // self.config.heads, h), (height, width)

    def through(self, h: Tensor, embedded: Tensor, turns: Turns) -> tuple[Tensor, Tensor]:
        """(B, T, W) to (B, T, W) after half of the blocks and after all; in training tokens may skip the middle."""
        first, end = self.config.middle
        whole, among, kept, known = h, turns, None, h
        for number, block in enumerate(self.blocks):
            if number == first and self.training and self.config.routing:
                whole, kept = h, self.chosen(h)  # (B, K, 1)
                h = h.gather(1, kept.expand(-1, -1, h.shape[2]))
                cos, sin = (part[0, kept[:, :, 0]] for part in turns)
                among = (cos, sin)
            if number == end:
                h, among, kept = back(whole, kept, h), turns, None
            if number == len(self.blocks) // 2:
                known = back(whole, kept, h)
            h = block(h, embedded, among)
        return known, h

    def chosen(self, h: Tensor) -> Tensor:
        """Places (B, K, 1) of the tokens that skip nothing; every picture has its own."""
        kept = max(1, round(h.shape[1] * (1 - self.config.routing)))
        return layer_uniform(h[:, :, :1].detach().float()).argsort(1)[:, :kept]


def back(whole: Tensor, kept: Tensor | None, among: Tensor) -> Tensor:
    """All tokens (B, T, W), those that were `kept` (B, K, 1) as they have become; None: it is all that have."""
    return among if kept is None else whole.scatter(1, kept.expand(-1, -1, whole.shape[2]), among)


def modulated(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """norm(x) (1 + scale) + shift; (B, T, W), (B, 1, W) each."""
    normed = x * over_rms(x, -1).to(x.dtype)
    return torch.addcmul(shift.to(x.dtype), normed, scale.to(x.dtype) + 1)


def rotations(height: int, width: int, size: int, like: Tensor) -> Turns:
    """Turns of `size` values at each place of a grid: one half of them by its row, the other by its column."""
    speeds = SLOWEST ** -(torch.arange(size // 4, device=like.device, dtype=torch.float32) / (size // 4))  # (size / 4,)
    rows, columns = (torch.arange(side, device=like.device, dtype=torch.float32) for side in (height, width))
    angles = torch.stack(
        [
            (rows[:, None] * speeds)[:, None].expand(-1, width, -1),
            (columns[:, None] * speeds)[None].expand(height, -1, -1),
        ],
        2,
    ).reshape(1, height * width, 1, 1, size // 2)
    cos, sin = angles.cos().to(like.dtype), angles.sin().to(like.dtype)
    return torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)


def turned(x: Tensor, turns: Turns) -> Tensor:
    """Values (B, T, ..., d), of which i and i + d / 2 are a point of a plane, turned as each place has it."""
    cos, sin = turns
    return x * cos + x.roll(x.shape[-1] // 2, -1) * sin


def places(height: int, width: int, size: int, device: torch.device) -> Tensor:
    """Waves (T, size) along both sides of a grid that tell where a place lies in it, whatever its resolution."""
    sides = ((torch.arange(side, device=device) + 0.5) / max(height, width) for side in (height, width))
    down, across = (sinusoid(side, size // 2, longest=SLOWEST, scale=32.0) for side in sides)
    return torch.cat([down[:, None].expand(-1, width, -1), across[None].expand(height, -1, -1)], -1).flatten(0, 1)
