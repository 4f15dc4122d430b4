"""The mean picture, of all or of a class: the least that a generator can know of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from limner.api import Batch, Condition, Losses, NoOptions, Progress, Scratch, Spec
from limner.config import Options
from limner.draws import Draws
from limner.families.baselines.closed_form import ClosedForm
from limner.nn.gathering import Gathering, Moments, groups_of, looked_at


class MeanConfig(Options):
    """There is nothing to choose."""


class Means(Gathering):
    """A mean a group, (G, C, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.hold("pictures", torch.float32)


class Mean(ClosedForm):
    """Paints one picture, or one a class, whatever the seed."""

    Config, Sampling = MeanConfig, NoOptions
    varies: ClassVar[bool] = False

    def __init__(self, config: MeanConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.sums = Moments(self.size, self.groups)
        self.means = Means()

    def look(self, batch: Batch, progress: Progress, scratch: Scratch) -> Losses:
        """Adds up the pictures that were not shown before."""
        self.sums.add_new(*looked_at(batch.pictures, batch.labels, batch.epoch))
        return {}

    def finish(self) -> None:
        """The overall mean, then one a class; a class without pictures has the overall one."""
        if not self.sums.begun:
            return
        overall = self.sums.sums()
        means = [overall.total / overall.count]
        for group in range(1, self.groups):
            count, total, *_ = self.sums.sums(group)
            means.append(total / count if count > 0 else means[0])
        self.means.put(pictures=torch.stack(means).view(-1, *self.spec.shape))
        self.sums.empty()

    def paint(self, draws: Draws, condition: Condition, options: NoOptions) -> Iterator[Tensor]:
        """The mean; white noise before any picture was seen."""
        pictures = self.means.get_buffer("pictures")
        if not pictures.numel():
            yield self.unseen(draws)
            return
        yield pictures[groups_of(condition.labels, draws.size, self.device)].to(draws.dtype)
