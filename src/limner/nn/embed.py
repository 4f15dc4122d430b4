"""What a network is told besides the picture: time, labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.draws import Draws
from limner.errors import UserError
from limner.labels import FINE
from limner.processes import current

NEAR = FINE // 20
"""Numbers that differ by a twentieth of their range at most are as good as equal where a seen one has to fit."""


def sinusoid(time: Tensor, width: int, longest: float = 10_000.0, scale: float = 1000.0) -> Tensor:
    """Cosines and sines of times (B,) at `width / 2` frequencies, (B, width) float32 (1706.03762, section 3.5)."""
    half = width // 2
    places = torch.arange(half, device=time.device, dtype=torch.float32)
    frequencies = torch.exp(places * (-math.log(longest) / half))
    angle = time.float()[:, None] * scale * frequencies  # (B, width / 2)
    return torch.cat([angle.cos(), angle.sin()], 1)


class TimeEmbedding(nn.Module):
    """Times (B,) in [0, 1] to (B, width)."""

    def __init__(self, width: int, frequencies: int = 128) -> None:
        super().__init__()
        self.frequencies = frequencies
        self.layers = nn.Sequential(nn.Linear(frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, time: Tensor) -> Tensor:
        """(B,) to (B, width)."""
        weight: Tensor = self.layers[0].weight  # type: ignore[assignment]
        embedded: Tensor = self.layers(sinusoid(time, self.frequencies).to(weight.dtype))
        return embedded


class ValueTable(nn.Embedding):
    """A learned vector a value, and one for the unknown: labels (B,) from -1 to `count` - 1 to (B, width)."""

    def __init__(self, count: int, width: int, deviation: float) -> None:
        super().__init__(count + 1, width)
        nn.init.normal_(self.weight, std=deviation)

    def forward(self, labels: Tensor) -> Tensor:
        """(B,) to (B, width)."""
        return super().forward(labels + 1)

    def forget(self) -> None:
        """Say nothing of any value, for now."""
        nn.init.zeros_(self.weight)


class NumberCurve(nn.Module):
    """A smooth curve through (width) along a number's range, and a vector for the unknown: labels (B,) to (B, width).

    A small network of the number's place in its range and of waves of it (2006.10739, section 4), from half a turn over
    the range to eight, the faster the weaker: numbers are told apart early, and those between seen ones lie between.
    """

    WAVES = 5

    def __init__(self, width: int, deviation: float) -> None:
        super().__init__()
        self.inner = nn.Linear(1 + 2 * self.WAVES, width)
        self.outer = nn.Linear(width, width)
        self.unknown = nn.Parameter(torch.empty(width))
        nn.init.normal_(self.unknown, std=deviation)
        # Mean squares: of the features together 1/3 + 1 + 1/2 + 1/4 ..., of silu of a standard normal number 0.36.
        nn.init.normal_(self.inner.weight, std=(7 / 3) ** -0.5)
        nn.init.normal_(self.outer.weight, std=deviation * (0.36 * width) ** -0.5)

    def forward(self, labels: Tensor) -> Tensor:
        """(B,) to (B, width)."""
        place = 2 * labels.clamp_min(0).to(self.unknown.dtype)[:, None] / FINE - 1  # (B, 1) in [-1, 1]
        turns = 2.0 ** torch.arange(self.WAVES, device=place.device, dtype=place.dtype)
        angles = torch.pi / 2 * place * turns  # (B, waves)
        features = torch.cat([place, angles.cos() / turns.sqrt(), angles.sin() / turns.sqrt()], 1)
        known = self.outer(F.silu(self.inner(features)))
        return torch.where(labels[:, None] < 0, self.unknown.to(known), known)

    def forget(self) -> None:
        """Say nothing of any number, for now."""
        for part in (self.outer.weight, self.outer.bias, self.unknown):
            nn.init.zeros_(part)


class LabelEmbedding(nn.Module):
    """Labels (B, A) int64 to (B, width): a learned vector of each attribute's value or number, added.

    -1 has a vector of its own. No condition at all is -1 everywhere, so that asked, unknown and none go one way.

    Args:
        values: of each attribute how many there are; 0 for a number (`limner.labels`).
    """

    def __init__(self, values: Sequence[int], width: int) -> None:
        super().__init__()
        share = len(values) ** -0.5
        self.tables = nn.ModuleList(
            ValueTable(count, width, share) if count else NumberCurve(width, share) for count in values
        )

    def forward(self, labels: Tensor | None, size: int) -> Tensor:
        """(size, A), or None for no condition, to (size, width)."""
        if labels is None:
            labels = torch.full((size, len(self.tables)), -1, device=next(self.parameters()).device)
        return torch.stack([table(labels[:, a]) for a, table in enumerate(self.tables)]).sum(0)

    def forget(self) -> None:
        """Zero for every label, for now."""
        for table in self.tables:
            table.forget()  # type: ignore[operator]


def drop_labels(labels: Tensor, draws: Draws, rate: float) -> Tensor:
    """Labels (B, A) of which a share `rate` is null: half of it all at once, half attribute by attribute.

    Lets one network learn every combination of asked and unasked attributes (2207.12598, algorithm 1).
    """
    attributes = labels.shape[1]
    whole = draws.uniform("drop labels", 1) < (rate if attributes == 1 else rate / 2)
    each = draws.uniform("drop attributes", attributes) < (0 if attributes == 1 else rate / 2)
    return labels.masked_fill(whole | each, -1)


class LabelMemory(nn.Module):
    """The last rows of labels that training has seen: what to paint where no label is asked for.

    Keeps whole rows, so that attributes which go together stay together.

    Args:
        values: of each attribute how many there are; 0 for a number.
    """

    rows: Tensor
    seen: Tensor
    reach: Tensor

    def __init__(self, values: Sequence[int], capacity: int = 8192) -> None:
        super().__init__()
        self.register_buffer("rows", torch.full((capacity, len(values)), -1, dtype=torch.int16))
        self.register_buffer("reach", torch.tensor([0 if count else NEAR for count in values]), persistent=False)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def see(self, labels: Tensor) -> None:
        """Remember labels (B, A), those of all processes that share the batch."""
        labels = current().gather(labels)
        places = (self.seen + torch.arange(len(labels), device=labels.device)) % len(self.rows)
        self.rows[places[-len(self.rows) :]] = labels[-len(self.rows) :].to(torch.int16)
        self.seen += len(labels)

    def known(self) -> Tensor:
        """The rows (K, A) that are remembered, in the order of their values."""
        rows = self.rows[: min(int(self.seen), len(self.rows))].to(torch.int64)
        for attribute in reversed(range(rows.shape[1])):
            rows = rows[rows[:, attribute].argsort(stable=True)]
        return rows

    def spread(self, labels: Tensor, count: int) -> Tensor:
        """Labels (B, A) completed in `count` ways, (B, K, A): evenly from the seen rows that agree."""
        places = (torch.arange(count, device=labels.device) + 0.5) / count
        return torch.stack([self._completed(labels, place.expand(len(labels))) for place in places], 1)

    def complete(self, labels: Tensor | None, draws: Draws) -> Tensor:
        """Labels (draws.size, A) with what was left open (-1, or None for all) taken from a seen row that agrees.

        A number agrees with those near it. Where no seen row agrees with what is asked, each open attribute comes from
        any row.
        """
        open_ = torch.full((draws.size, self.rows.shape[1]), -1, device=self.rows.device)
        return self._completed(open_ if labels is None else labels, draws.even("labels"))

    def _completed(self, asked: Tensor, place: Tensor) -> Tensor:
        """Labels (B, A) completed from the row at `place` (B,), in [0, 1), among those that agree."""
        rows = self.known() if bool((asked < 0).any()) else self.rows[:0]
        if len(rows) == 0:
            return asked
        near = ((asked[:, None] - rows).abs() <= self.reach) & (rows >= 0)
        agree = (near | (asked[:, None] < 0)).all(2)  # (B, K)
        agree |= ~agree.any(1, keepdim=True)
        ranks = agree.cumsum(1)
        chosen = (place[:, None] * ranks[:, -1:]).floor() + 1  # the chosen-th of the rows that agree
        return torch.where(asked < 0, rows[(ranks < chosen).sum(1)], asked)


def labels_to_train(memory: LabelMemory | None, labels: Tensor | None, draws: Draws, rate: float) -> Tensor | None:
    """Labels (B, A) with a share `rate` hidden; remembered where the memory is in training. None without any."""
    if memory is None or labels is None:
        return None
    if memory.training:
        memory.see(labels)
    return drop_labels(labels, draws, rate)


def labels_to_paint(
    memory: LabelMemory | None, asked: Tensor | None, draws: Draws, guidance: float = 1.0
) -> Tensor | None:
    """Labels (draws.size, A): those asked for, the rest as training saw them beside those. None without any.

    Raises:
        UserError: a label or guidance is asked of a model without labels.
    """
    if memory is None:
        if asked is not None and bool((asked >= 0).any()):
            raise UserError("this model was trained without labels, so none can be asked for: leave the label out")
        if guidance != 1:
            raise UserError(f"guidance {guidance:g} needs a model trained with labels: leave it at 1")
        return None
    return memory.complete(asked, draws)
