"""Pictures as coordinates along their principal axes, in two passes: the axes first, then the coordinates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from limner.nn.gathering import Moments, Rows, columns_for
from limner.nn.principal import Ellipsoids, spectrum


class PrincipalCodes(nn.Module):
    """Gathers the codes (r,) of up to `capacity` vectors (size,), drawn as the batches draw them.

    In the first pass moments are summed up; when each vector was shown once, or half of a shorter training is over,
    the axes are solved and what comes from then on is coded. `frame` holds mean, axes, the variances along them and
    the mean variance of the rest, to all of which `noise` is added.
    """

    def __init__(self, size: int, components: int, capacity: int, noise: float = 0.0) -> None:
        super().__init__()
        self.noise = noise
        columns = columns_for(size, 1)
        self.width = min(components, size if columns == size else max(1, 2 * columns // 3))
        self.sums = Moments(size, 1, columns)
        self.frame = Ellipsoids()
        self.rows = Rows(capacity)

    def look(self, x: Tensor, group: Tensor, epoch: Tensor, fraction: float) -> None:
        """Take in vectors (B, size) of groups (B,); `epoch` (B,) counts how often they were shown before."""
        again = epoch > 0
        if not self.frame.known:
            self.sums.add_new(x, torch.zeros_like(group), epoch)
            if not bool(again.any()) and fraction < 0.5:
                return
            self.solve()
            x, group, epoch = x[again], group[again], epoch[again]
        second = epoch <= 1
        if bool(second.any()):
            self.rows.add(self.frame.project(x[second]), group[second])

    def solve(self) -> None:
        """Settle the axes from what has been seen so far, if they are not settled."""
        if self.frame.known or not self.sums.begun:
            return
        known = spectrum(self.sums.sums())
        self.frame.fit([known], [known.values[: self.width] + self.noise], [known.rest(self.width) + self.noise])
        self.sums.empty()

    @property
    def floor(self) -> float:
        """The variance below which nothing can be told from noise: that of the axes left out, or a thousandth."""
        along, rest = self.frame.get_buffer("values")[0], self.frame.get_buffer("rest")[0]
        return max(float(rest), 1e-3 * float(along.mean()))
