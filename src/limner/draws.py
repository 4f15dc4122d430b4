"""Random numbers with names. Nothing in Limner draws from a global generator.

A draw is a function of a key alone, so a resumed run, another batch size or another number of processes sees the
same numbers. Two kinds share one interface: `TurnDraws` for training, keyed by (seed, step, phase, turn, name), drawn
for the global batch and sliced by rank; `PictureDraws` for sampling, keyed by (seed, index of the picture, name).
"""

from __future__ import annotations

import contextlib
import contextvars
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

_Fill = Callable[[tuple[int, ...], torch.Generator], Tensor]
GOLDEN = (5**0.5 - 1) / 2


def seed_of(*key: int | str) -> int:
    """A 63-bit seed from any key, stable over machines and versions (BLAKE2b)."""
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _generator(*key: int | str) -> torch.Generator:
    # The CPU generator everywhere: a picture must not change with the device that paints it.
    return torch.Generator().manual_seed(seed_of(*key))


class Draws(ABC):
    """Named random numbers for `size` pictures; every shape given is that of one picture."""

    size: int
    device: torch.device
    dtype: torch.dtype

    @abstractmethod
    def _draw(self, name: str, shape: tuple[int, ...], fill: _Fill) -> Tensor:
        """(size, *shape), float32 on the CPU."""

    @abstractmethod
    def even(self, name: str) -> Tensor:
        """Uniform numbers in [0, 1), (size,) float32, which lie evenly whatever run of pictures one takes.

        Each is the fractional part of a start that all share and of the picture's number times the golden ratio
        (Niederreiter 1992, "Random number generation and quasi-Monte Carlo methods", section 3.1).
        """

    @abstractmethod
    def named(self, name: str) -> Draws:
        """The same pictures' numbers in a name space of their own, for a part that draws repeatedly."""

    @abstractmethod
    def rows(self, first: int, size: int, step: int = 1) -> Draws:
        """The numbers of `size` of these pictures, from the `first` on, every `step`-th."""

    def normal(self, name: str, *shape: int) -> Tensor:
        """Standard normal numbers, (size, *shape)."""
        return self._place(self._draw(name, shape, lambda s, g: torch.randn(s, generator=g)))

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), (size, *shape)."""
        return self._place(self._draw(name, shape, lambda s, g: torch.rand(s, generator=g)))

    def integers(self, name: str, high: int, *shape: int) -> Tensor:
        """Whole numbers in [0, high), (size, *shape), int64."""
        drawn = self._draw(name, shape, lambda s, g: torch.randint(0, high, s, generator=g))
        return drawn.to(self.device)

    def _place(self, drawn: Tensor) -> Tensor:
        return drawn.to(device=self.device, dtype=self.dtype)

    def _even(self, numbers: Sequence[int], *key: int | str) -> Tensor:
        start = torch.rand((), generator=_generator(*key), dtype=torch.float64)
        even = (start + GOLDEN * torch.tensor(numbers, dtype=torch.float64)) % 1
        return even.float().clamp_max(1 - 2**-24).to(self.device)  # in float32, which every device has, it might be 1


class TurnDraws(Draws):
    """Numbers of one phase's turn in training.

    Args:
        key: what the numbers depend on: (seed, step, phase, turn).
        batch: pictures in the global batch, over all processes.
        first: this process's first picture in it.
        size: this process's number of pictures.
        step: from one of its pictures to the next.
    """

    def __init__(
        self,
        key: Sequence[int | str],
        batch: int,
        first: int = 0,
        size: int | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        step: int = 1,
    ) -> None:
        self.key, self.batch, self.first, self.step = tuple(key), batch, first, step
        self.size = batch if size is None else size
        self.device, self.dtype = torch.device(device), dtype

    def _draw(self, name: str, shape: tuple[int, ...], fill: _Fill) -> Tensor:
        rows = slice(self.first, self.first + self.size * self.step, self.step)
        return fill((self.batch, *shape), _generator(*self.key, name))[rows]

    def even(self, name: str) -> Tensor:
        """See `Draws.even`."""
        return self._even(range(self.first, self.first + self.size * self.step, self.step), *self.key, name)

    def shared(self, name: str, *shape: int) -> Tensor:
        """Uniform numbers that all pictures and processes share, of exactly `shape`."""
        return self._place(torch.rand(shape, generator=_generator(*self.key, name)))

    def rows(self, first: int, size: int, step: int = 1) -> TurnDraws:
        """See `Draws.rows`."""
        begin = self.first + first * self.step
        return TurnDraws(self.key, self.batch, begin, size, self.device, self.dtype, step * self.step)

    def named(self, name: str) -> TurnDraws:
        """See `Draws.named`."""
        return TurnDraws((*self.key, name), self.batch, self.first, self.size, self.device, self.dtype, self.step)


class PictureDraws(Draws):
    """Numbers of the pictures `indices` of the run `seed`, each picture with its own generator."""

    def __init__(
        self,
        seed: int,
        indices: Sequence[int],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        space: tuple[str, ...] = (),
    ) -> None:
        self.seed, self.indices, self.space = seed, list(indices), space
        self.size = len(self.indices)
        self.device, self.dtype = torch.device(device), dtype

    def _draw(self, name: str, shape: tuple[int, ...], fill: _Fill) -> Tensor:
        return torch.stack([fill(shape, _generator(self.seed, i, *self.space, name)) for i in self.indices])

    def even(self, name: str) -> Tensor:
        """See `Draws.even`."""
        return self._even(self.indices, self.seed, *self.space, name)

    def rows(self, first: int, size: int, step: int = 1) -> PictureDraws:
        """See `Draws.rows`."""
        chosen = self.indices[first : first + size * step : step]
        return PictureDraws(self.seed, chosen, self.device, self.dtype, self.space)

    def named(self, name: str) -> PictureDraws:
        """See `Draws.named`."""
        return PictureDraws(self.seed, self.indices, self.device, self.dtype, (*self.space, name))


# Layers that draw (dropout, noise per layer) reach the numbers of the turn they run in through this.
_current: contextvars.ContextVar[tuple[Draws, list[int]] | None] = contextvars.ContextVar("draws", default=None)


@contextlib.contextmanager
def layers_draw_from(draws: Draws) -> Iterator[None]:
    """Inside, `layer_uniform` and `layer_normal` take their numbers from `draws`, in the order of the calls."""
    token = _current.set((draws.named("layers"), [0]))
    try:
        yield
    finally:
        _current.reset(token)


def _layer_draws(like: Tensor) -> tuple[Draws, str]:
    active = _current.get()
    if active is None:
        raise RuntimeError("a layer that draws random numbers ran outside layers_draw_from(...)")
    draws, count = active
    assert like.shape[0] % draws.size == 0, "a layer's batch must be a whole number of turns' batches"
    count[0] += 1
    return draws, str(count[0])


def _layer_draw(like: Tensor, kind: str) -> Tensor:
    draws, name = _layer_draws(like)
    repeats = like.shape[0] // draws.size  # real and fake joined in one batch
    parts = [getattr(draws, kind)(f"{name}.{r}", *like.shape[1:]) for r in range(repeats)]
    return torch.cat(parts).to(device=like.device, dtype=like.dtype)


def layer_uniform(like: Tensor) -> Tensor:
    """Uniform numbers of the shape of `like`, from the turn that is running."""
    return _layer_draw(like, "uniform")


def layer_normal(like: Tensor) -> Tensor:
    """Standard normal numbers of the shape of `like`, from the turn that is running."""
    return _layer_draw(like, "normal")
