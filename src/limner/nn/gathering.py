"""What is gathered by looking at pictures: sums, rows. Buffers that begin empty and are emptied when all is solved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from limner.processes import current

LIMIT = 12_000_000
"""Numbers that second moments may take, all groups together: 96 MB."""

EXACT, MOST = 1100, 512
"""Vectors up to `EXACT` long have their whole covariance kept, longer ones along at most `MOST` directions."""


class Gathering(nn.Module):
    """A module whose buffers change their size: empty until something is known, saved and loaded at any size.

    They keep their dtype when the model around them is cast: sums over many pictures need float64.
    """

    def hold(self, name: str, dtype: torch.dtype) -> None:
        """Register an empty buffer."""
        self.register_buffer(name, torch.zeros(0, dtype=dtype))

    def grown(self, name: str, *shape: int) -> Tensor:
        """The buffer of that name, made of this shape and zero where it is of another."""
        buffer = self.get_buffer(name)
        return buffer if buffer.shape == shape else buffer.resize_(shape).zero_()

    def put(self, **values: Tensor) -> None:
        """Replace buffers by values of any shape."""
        for name, value in values.items():
            self.get_buffer(name).resize_(value.shape).copy_(value)

    def empty(self) -> None:
        """Let go of all that was gathered."""
        for buffer in self.buffers(recurse=False):
            buffer.resize_(0)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Gathering:
        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(fn(tensor.new_empty(0)).device)

        super()._apply(moved, recurse)
        return self

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        for name, buffer in self.named_buffers(recurse=False):
            if prefix + name in state:
                buffer.resize_(state[prefix + name].shape)
        super()._load_from_state_dict(state, prefix, *rest)


class Sums(NamedTuple):
    """Sums over n vectors x (D,).

    count: n. total: of x (D,). power: of |x|^2. second: of x x' test (D, r), or of x x' (D, D) where test is None.
    cubic: of |x|^2 x (D,). quartic: of |x|^4.
    """

    count: Tensor  # type: ignore[assignment]  # as a name it is worth more than tuple.count
    total: Tensor
    power: Tensor
    second: Tensor
    cubic: Tensor
    quartic: Tensor
    test: Tensor | None


class Moments(Gathering):
    """Sums over vectors (B, size) in groups, in float64: all that means and covariances need.

    Args:
        columns: directions along which second moments are kept; `size` for all of them, 0 for means alone.
    """

    def __init__(self, size: int, groups: int = 1, columns: int = 0) -> None:
        super().__init__()
        self.size, self.groups, self.columns = size, groups, columns
        for name in ("count", "total", "power", "second", "cubic", "quartic"):
            self.hold(name, torch.float64)
        self._test: Tensor | None = None

    @property
    def begun(self) -> bool:
        """Whether anything was added."""
        return self.get_buffer("count").numel() > 0

    @torch.no_grad()
    def add(self, x: Tensor, group: Tensor, keep: float = 1.0) -> None:
        """Take in vectors (B, size), each of a group (B,) int64; what is already there counts `keep` times."""
        x = x.to(torch.float64)
        member = F.one_hot(group, self.groups).to(x.dtype)  # (B, groups)
        self.grown("count", self.groups).mul_(keep).add_(member.sum(0))
        self.grown("total", self.groups, self.size).mul_(keep).addmm_(member.T, x)
        if not self.columns:
            return
        power = x.square().sum(1)
        self.grown("power", self.groups).mul_(keep).addmv_(member.T, power)
        self.grown("quartic", self.groups).mul_(keep).addmv_(member.T, power.square())
        self.grown("cubic", self.groups, self.size).mul_(keep).addmm_(member.T, power[:, None] * x)
        second, test = self.grown("second", self.groups, self.size, self.columns), self.test()
        if keep != 1.0:
            second.mul_(keep)
        for number in group.unique().tolist():
            rows = x[group == number]
            second[number].addmm_(rows.T, rows if test is None else rows @ test)

    def add_new(self, x: Tensor, group: Tensor, epoch: Tensor) -> None:
        """Take in those of the vectors that are shown for the first time, so that each counts once."""
        new = epoch == 0
        if bool(new.any()):
            self.add(x[new], group[new])

    def test(self) -> Tensor | None:
        """Orthonormal test vectors (size, columns) for covariances that are too large to keep whole; else None."""
        if self.columns == self.size:
            return None
        if self._test is None:
            generator = torch.Generator().manual_seed(0)
            drawn = torch.randn(self.size, self.columns, generator=generator, dtype=torch.float64)
            self._test = torch.linalg.qr(drawn).Q
        return self._test.to(self.get_buffer("count").device)

    def sums(self, group: int | None = None) -> Sums:
        """Of one group, or of all together."""
        held = (self.get_buffer(name) for name in ("count", "total", "power", "second", "cubic", "quartic"))
        picked = (value if not value.numel() else value.sum(0) if group is None else value[group] for value in held)
        count, total, power, second, cubic, quartic = picked
        return Sums(count, total, power, second, cubic, quartic, self.test() if self.columns else None)


class Rows(Gathering):
    """The first `capacity` rows (size,) that come along, each with its group, in float32."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.hold("rows", torch.float32)
        self.hold("group", torch.int64)

    def __len__(self) -> int:
        return len(self.get_buffer("rows"))

    @torch.no_grad()
    def add(self, x: Tensor, group: Tensor) -> None:
        """Keep rows (B, size) of groups (B,), as many as there is room for."""
        room = self.capacity - len(self)
        if room <= 0 or not len(x):
            return
        rows = x[:room].to(torch.float32)
        known = self.get_buffer("rows").reshape(-1, rows.shape[1])
        self.put(rows=torch.cat([known, rows]), group=torch.cat([self.get_buffer("group"), group[:room]]))

    def of(self, group: int | None = None) -> Tensor:
        """Rows (n, size) of one group, or of all."""
        rows = self.get_buffer("rows")
        return rows if group is None else rows[self.get_buffer("group") == group]


def columns_for(size: int, groups: int) -> int:
    """Directions in which second moments of vectors (size,) in so many groups fit; under 8 is not worth having."""
    room = LIMIT // (size * groups)
    return size if size <= min(room, EXACT) else min(room, MOST)


def looked_at(
    pictures: Tensor, labels: Tensor | None = None, epoch: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Vectors (B, ...), groups (B,) and epochs (B,) of the whole global batch, the same on all processes.

    So all of them gather the same sums in the same order, to the bit those that one process gathers.
    """
    group = groups_of(labels, len(pictures), pictures.device)
    epoch = torch.zeros_like(group) if epoch is None else epoch.to(group.device)
    processes = current()
    return processes.gather(pictures.flatten(1)), processes.gather(group), processes.gather(epoch)


def groups_of(labels: Tensor | None, size: int, device: torch.device) -> Tensor:
    """Group (size,) of each picture: 0 where the first attribute of labels (size, A) is unknown, else its value + 1."""
    return torch.zeros(size, dtype=torch.int64, device=device) if labels is None else labels[:, 0] + 1
