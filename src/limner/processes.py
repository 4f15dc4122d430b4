"""The processes that share a piece of work: who this one is, and what they say to each other.

All of them run the same program. What is drawn at random is drawn for the global batch and sliced by rank; what looks
across pictures asks `current()` and reduces over all processes; files are written by the first process alone.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import functools
import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

# Its functions keep whatever group there is when it is first imported, as a default, and with it the group's threads,
# which then meet an interpreter that has ended. So it comes before there is one.
import torch.distributed.nn.functional
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from limner.errors import UserError
from limner.launch import launch

HOURS = 1.0
"""How long a process waits for the others before it gives them up; `LIMNER_TIMEOUT` in seconds is another time."""

_SHORT = 2048  # bytes of a message that goes in one piece


class Lost(UserError):
    """Another process has ended or cannot be reached any more."""


@dataclass(frozen=True)
class Processes:
    """This process's `rank` among `world`; one process needs no set-up."""

    rank: int = 0
    world: int = 1

    @classmethod
    def join(cls) -> Processes:
        """The processes that torchrun started, or this one alone; joined once in a process's life.

        Raises:
            Lost: the others cannot be reached.
        """
        place = launch()
        if place.world == 1:
            return cls()
        if not dist.is_initialized():
            devices = torch.cuda.device_count()
            if devices:
                torch.cuda.set_device(place.local_rank % devices)
            # NCCL wants a device for each process; messages travel by gloo in any case.
            backend = "cpu:gloo,cuda:nccl" if devices >= place.local_world else "gloo"
            seconds = float(os.environ.get("LIMNER_TIMEOUT", 3600 * HOURS))
            timeout = datetime.timedelta(seconds=seconds)
            with _together():
                store = _met(place.rank, place.world, timeout)
                dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.world, timeout=timeout)
            atexit.register(_leave)
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def slice(self, batch: int) -> tuple[int, int]:
        """(first picture, number of pictures) of this process in the global batch."""
        if batch % self.world:
            raise UserError(
                f"a global batch of {batch} cannot be shared by {self.world} processes: choose a --batch that is a "
                f"multiple of {self.world}, such as {-(-batch // self.world) * self.world}"
            )
        size = batch // self.world
        return self.rank * size, size

    # Tensors.

    def total(self, x: Tensor) -> Tensor:
        """The sum of `x` over all processes, equal on all of them. Differentiable, also twice."""
        if self.world == 1:
            return x
        summed: Tensor = _uncompiled_sum()(x)
        return summed

    def mean(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their mean over all processes: one all-reduce of the flattened whole."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        with _together():
            dist.all_reduce(flat)
        flat /= self.world
        offset = 0
        for t in tensors:
            t.copy_(flat[offset : offset + t.numel()].view_as(t))
            offset += t.numel()

    def gather(self, rows: Tensor) -> Tensor:
        """The rows (B, ...) of all processes, (world * B, ...), in the order of the global batch. No gradient."""
        if self.world == 1:
            return rows
        rows = rows.detach().contiguous()
        found = [torch.empty_like(rows) for _ in range(self.world)]
        with _together():
            dist.all_gather(found, rows)
        return torch.cat(found)

    # Words.

    def largest(self, *numbers: int) -> list[int]:
        """The largest of each whole number over all processes."""
        if self.world == 1:
            return list(numbers)
        held = torch.tensor(numbers, dtype=torch.int64)
        with _together():
            dist.all_reduce(held, dist.ReduceOp.MAX)
        return [int(number) for number in held]

    def tell(self, make: Callable[[], Any]) -> Any:
        """What `make()` gives on the first process, on all of them; plain values that JSON can carry."""
        if self.world == 1:
            return make()
        return json.loads(self.share(json.dumps(make()).encode() if self.first else b""))

    def share(self, content: bytes) -> bytes:
        """The first process's bytes, on all of them."""
        if self.world == 1:
            return content
        # Most messages are short, and go in the one piece that says how long they are.
        head = torch.zeros(_SHORT, dtype=torch.uint8)
        if self.first:
            size = len(content).to_bytes(8, "little")
            start = size + content[: _SHORT - 8]
            head[: len(start)] = torch.frombuffer(bytearray(start), dtype=torch.uint8)
        with _together():
            dist.broadcast(head, 0)
            length = int.from_bytes(head[:8].numpy().tobytes(), "little")
            if length <= _SHORT - 8:
                return head[8 : 8 + length].numpy().tobytes()
            whole = torch.frombuffer(bytearray(content or bytes(length)), dtype=torch.uint8)
            dist.broadcast(whole, 0)
        return whole.numpy().tobytes()

    def share_tensors(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The first process's tensors by name, on all of them."""
        if self.world == 1:
            return dict(tensors)
        from safetensors.torch import load, save

        held = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        return load(self.share(save(held) if self.first else b""))

    def collect(self, content: bytes) -> list[bytes]:
        """The bytes of every process in the order of their ranks, on the first; nothing on the others."""
        if self.world == 1:
            return [content]
        sizes = self.gather(torch.tensor([len(content)])).tolist()
        mine = torch.zeros(max(max(sizes), 1), dtype=torch.uint8)
        if content:
            mine[: len(content)] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        found = [torch.empty_like(mine) for _ in sizes] if self.first else None
        with _together():
            dist.gather(mine, found, 0)
        return [one[:size].numpy().tobytes() for one, size in zip(found or [], sizes, strict=False)]


@functools.cache
def _uncompiled_sum() -> Callable[[Tensor], Tensor]:
    # No compiler of networks can look into it. Saying so at the top of this file would bring the compiler along.
    found: Callable[[Tensor], Tensor] = torch.compiler.disable(lambda x: _Sum.apply(x))
    return found


class _Sum(torch.autograd.Function):
    """The sum over processes. Each one's loss depends on it, so its gradient is summed over them as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        summed = x.detach().clone(memory_format=torch.contiguous_format)
        with _together():
            dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        return _Sum.apply(gradients[0])


# A plain global: compilers of networks see through it, and whoever samples in another thread does not reduce.
_current = Processes()


def current() -> Processes:
    """The processes that share the batch which is being worked on; one alone outside of a training step."""
    return _current


@contextlib.contextmanager
def sharing(processes: Processes) -> Iterator[None]:
    """Inside, every batch is a slice of one that `processes` share."""
    global _current
    before, _current = _current, processes
    try:
        yield
    finally:
        _current = before


@contextlib.contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        _lost.append(error)
        # Of gloo's words: neither where in its source nor what it advises.
        reason = str(error).splitlines()[0].partition("] ")[2].partition(". ")[0] or str(error).splitlines()[0]
        raise Lost(
            f"another process has ended or cannot be reached ({reason}): what was saved is whole; "
            "start again with --resume, or let torchrun --max-restarts do it"
        ) from error


def _met(rank: int, world: int, timeout: datetime.timedelta) -> Any:
    """A store for this start of the processes alone, once all of them are there.

    torchrun keeps one store over all its restarts, and processes that have ended have left their addresses in it. So
    each process asks under a name that nobody has used before, and the first one answers with the name of the start.
    """
    store, _, _ = next(iter(rendezvous("env://", timeout=timeout)))
    named = dist.PrefixStore  # type: ignore[attr-defined]
    store.set_timeout(timeout)
    if rank:
        question = uuid.uuid4().hex
        store.set(f"limner/asks/{rank}", question)
        start = store.get(f"limner/answers/{question}").decode()
        store.set(f"limner/{start}/{rank}", "here")
        return named(start, store)
    start, missing, until = uuid.uuid4().hex, list(range(1, world)), time.monotonic() + timeout.total_seconds()
    while missing:
        for other in missing:
            if store.check([f"limner/asks/{other}"]):
                store.set(f"limner/answers/{store.get(f'limner/asks/{other}').decode()}", start)
        time.sleep(0.01)
        missing = [other for other in missing if not store.check([f"limner/{start}/{other}"])]
        if missing and time.monotonic() > until:
            raise RuntimeError(f"process {missing[0]} did not come within {timeout}")
    return named(start, store)


_lost: list[RuntimeError] = []


def _leave() -> None:
    # After a loss the others may never answer, and the system takes the connections down by itself.
    if dist.is_initialized() and not _lost:
        dist.destroy_process_group()
