"""What a network is told besides the picture: time, labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from limner.draws import Draws
from limner.errors import UserError
from limner.processes import current


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


class LabelEmbedding(nn.Module):
    """Labels (B, A) int64 to (B, width): one learned vector a value and attribute, added. -1 has a vector of its own.

    No condition at all is -1 everywhere, so that asked, unknown and none go one way.
    """

    def __init__(self, values: Sequence[int], width: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(count + 1, width) for count in values)
        for table in self.tables:
            nn.init.normal_(table.weight, std=len(values) ** -0.5)  # type: ignore[arg-type]

    def forward(self, labels: Tensor | None, size: int) -> Tensor:
        """(size, A), or None for no condition, to (size, width)."""
        weight: Tensor = self.tables[0].weight  # type: ignore[assignment]
        if labels is None:
            labels = torch.full((size, len(self.tables)), -1, device=weight.device)
        return torch.stack([table(labels[:, a] + 1) for a, table in enumerate(self.tables)]).sum(0)


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
    """

    rows: Tensor
    seen: Tensor

    def __init__(self, attributes: int, capacity: int = 8192) -> None:
        super().__init__()
        self.register_buffer("rows", torch.full((capacity, attributes), -1, dtype=torch.int16))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def see(self, labels: Tensor) -> None:
        """Remember labels (B, A), those of all processes that share the batch."""
        labels = current().gather(labels)
        places = (self.seen + torch.arange(len(labels), device=labels.device)) % len(self.rows)
        self.rows[places[-len(self.rows) :]] = labels[-len(self.rows) :].to(torch.int16)
        self.seen += len(labels)

    def draw(self, draws: Draws) -> Tensor:
        """Labels (draws.size, A) as often as they were seen; -1 everywhere where none were."""
        known = min(int(self.seen), len(self.rows))
        if known == 0:
            return torch.full((draws.size, self.rows.shape[1]), -1, device=self.rows.device)
        return self.rows[draws.integers("labels", known)].to(torch.int64)

    def complete(self, labels: Tensor | None, draws: Draws) -> Tensor:
        """Labels (draws.size, A) with what was left open (-1, or None for all) taken from a seen row that agrees.

        Where no seen row agrees with what is asked, each open attribute comes from any row.
        """
        open_ = torch.full((draws.size, self.rows.shape[1]), -1, device=self.rows.device)
        asked = open_ if labels is None else labels
        known = min(int(self.seen), len(self.rows))
        if known == 0 or not bool((asked < 0).any()):
            return asked
        rows = self.rows[:known].to(torch.int64)  # (K, A)
        agree = ((asked[:, None] == rows) | (asked[:, None] < 0)).all(2)  # (B, K)
        agree |= ~agree.any(1, keepdim=True)
        ranks = agree.cumsum(1)
        chosen = (draws.uniform("labels", 1) * ranks[:, -1:]).floor() + 1  # the chosen-th of the rows that agree
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
    """Labels (draws.size, A): those asked for, and where a row asks for nothing one that training saw. None without.

    Raises:
        UserError: a label or guidance is asked of a model without labels.
    """
    if memory is None:
        if asked is not None and bool((asked >= 0).any()):
            raise UserError("this model was trained without labels, so none can be asked for: leave the label out")
        if guidance != 1:
            raise UserError(f"guidance {guidance:g} needs a model trained with labels: leave it at 1")
        return None
    drawn = memory.draw(draws)
    return drawn if asked is None else torch.where((asked < 0).all(1, keepdim=True), drawn, asked)
