"""What every peer shares: the training pictures, the clock, the file of samples. The peers' own choices lie with them.

A peer is handed pictures from memory and never waits for a file, so nothing of its time is spent on loading.
"""

from __future__ import annotations

import argparse
import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.common import say
from torch import Tensor

from limner import pictures, storage
from limner.data import DataOptions, pack, to_float, to_uint8
from limner.verbs.units import duration

SHEET = 64


class Peer(ABC):
    """A tool that learns from batches (B, C, S, S) in [-1, 1] and paints pictures of the same form, S a square side."""

    version: str
    batch: int
    paints: int = 100  # pictures painted at a time

    @abstractmethod
    def __init__(self, channels: int, side: int) -> None: ...

    @abstractmethod
    def parameters(self) -> int:
        """How many numbers it has when it paints; a discriminator is not counted."""

    @abstractmethod
    def step(self, batch: Tensor, share: float, expected: float) -> float:
        """One step. `share` of the time is gone; `expected` steps fit into all of it. Returns a loss to be shown."""

    @abstractmethod
    def paint(self, count: int) -> Tensor:
        """(count, C, S, S) in [-1, 1]."""


def side_of(height: int, width: int) -> int:
    """The least power of two that holds the picture, 32 at least: what networks of four levels can halve."""
    return max(32, 1 << (max(height, width) - 1).bit_length())


def padded(batch: Tensor, side: int) -> Tensor:
    """Black around pictures that are smaller than the square."""
    down, right = side - batch.shape[-2], side - batch.shape[-1]
    edges = (right // 2, right - right // 2, down // 2, down - down // 2)
    return torch.nn.functional.pad(batch, edges, value=-1.0)


def cropped(batch: Tensor, height: int, width: int) -> Tensor:
    """The middle, as it was before `padded`."""
    top, left = (batch.shape[-2] - height) // 2, (batch.shape[-1] - width) // 2
    return batch[..., top : top + height, left : left + width]


def epochs(rows: np.ndarray, batch: int, seed: int) -> Iterator[np.ndarray]:
    """Endless batches of row numbers, each epoch in a new order, its incomplete last batch left out."""
    draw = np.random.default_rng(seed)
    while True:
        order = draw.permutation(rows)
        yield from (np.sort(order[i : i + batch]) for i in range(0, max(1, len(order) - batch + 1), batch))


def run(build: Callable[[int, int], Peer]) -> None:
    """The command line of a peer: train it, have it paint, say how fast it was (JSON on standard output)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("--seconds", type=duration, required=True, help="of training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int)
    parser.add_argument("-n", type=int, default=2500)
    parser.add_argument("--out", type=Path, required=True, help="an .npz")
    parser.add_argument("--sheet", type=Path, help="a PNG of the first 64")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    found = pack(args.data, DataOptions(size=args.size))
    channels, height, width = found.shape
    peer = build(channels, side_of(height, width))
    trained = train(peer, found, args.seconds, args.seed)
    say(f"painting {args.n}")
    start = time.perf_counter()
    with torch.no_grad():
        parts = [
            cropped(peer.paint(min(peer.paints, args.n - at)), height, width) for at in range(0, args.n, peer.paints)
        ]
    took = time.perf_counter() - start
    x = to_uint8(torch.cat(parts))
    with storage.whole_file(args.out) as part, part.open("wb") as file:
        np.savez_compressed(file, x=x)
    if args.sheet:
        pictures.write_png(args.sheet, pictures.grid(x[:SHEET]))
    print(json.dumps({**trained, "n": args.n, "painting_seconds": took, "painted_per_second": args.n / took}))


def train(peer: Peer, found: Any, seconds: float, seed: int) -> dict[str, Any]:
    """Steps until `seconds` are over."""
    side = side_of(*found.shape[1:])
    rows = epochs(found.train, peer.batch, seed)
    steps, gone, said = 0, 0.0, 0.0
    start = time.perf_counter()
    while gone < seconds:
        batch = padded(to_float(found.read(next(rows))), side)
        expected = steps / gone * seconds if gone else float("inf")
        loss = peer.step(batch, gone / seconds, expected)
        steps += 1
        gone = time.perf_counter() - start
        if gone - said > 30 or steps == 1:
            said = gone
            speed = steps * peer.batch / gone
            say(f"step {steps:,}  {gone:.0f} of {seconds:.0f} s  {speed:.0f} pictures/s  loss {loss:.4f}")
    return {
        "version": peer.version,
        "parameters": peer.parameters(),
        "batch": peer.batch,
        "precision": "float32",
        "steps": steps,
        "seconds": gone,
        "pictures_per_second": steps * peer.batch / gone,
    }


def numbers_in(module: torch.nn.Module) -> int:
    """Parameters of a module."""
    return sum(p.numel() for p in module.parameters())
