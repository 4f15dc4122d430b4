"""Weak scaling: pictures a second of two processes with one thread each, against one process with one thread.

    python -m benchmarks.scaling                       every recipe below; --recipes flow --seconds 0.5 is a quick look

Each process has the same number of pictures a step, so two of them train on a global batch of twice the size. A step is
the whole of it: batches read from the pack, numbers drawn for the global batch, losses, gradients and their all-reduce,
optimiser, averaged weights, and the word that the first process gives the others after each step. One job of torchrun
does both in turns; while one process works alone, the other one waits without using a processor.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import torch
from benchmarks.common import ROUNDS, cifar10_files, record, save, say
from benchmarks.step import prepared

from limner.families import build
from limner.launch import launch
from limner.processes import Processes
from limner.training import Trial, resolve
from limner.training.averaging import Average

RECIPES = ("flow", "dcgan", "vae")
PROCESSES = 2
PICTURES = 2000


class Steps:
    """Training steps that `processes` share, a fixed number of pictures for each."""

    def __init__(self, config: Any, packed: Any, processes: Processes) -> None:
        train = msgspec.structs.replace(config.train, batch=config.train.batch * processes.world)
        self.trial = Trial(msgspec.structs.replace(config, train=train), packed, build, processes)
        self.average = Average(self.trial.model, train.average)
        self.processes, self.batch = processes, train.batch

    def take(self, count: int) -> float:
        """Pictures a second of `count` steps."""
        self.processes.largest(0)  # all begin together
        began = time.perf_counter()
        for _ in range(count):
            self.trial.take()
            self.average.update(self.trial.step)
            self.processes.largest(0)
            self.processes.tell(lambda: None)
        return count * self.batch / (time.perf_counter() - began)


def measured(name: str, store: Path, everyone: Processes, seconds: float, rounds: int) -> dict[str, Any]:
    """Pictures a second of one process and of all, in turns; on the first process."""
    if everyone.first:
        config, packed = prepared(name, store / "files", 32, 1, store)
    everyone.largest(0)
    if not everyone.first:
        config, packed = prepared(name, store / "files", 32, 1, store)
    how = everyone.tell(lambda: resolved(config, packed))
    config = msgspec.structs.replace(config, train=msgspec.structs.replace(config.train, **how))
    contestants = {1: Steps(config, packed, Processes()), everyone.world: Steps(config, packed, everyone)}
    numbers: dict[int, list[float]] = {world: [] for world in contestants}
    counts: dict[int, int] = {}
    for number in range(-1, rounds):  # a round to warm up, which finds out how many steps take so long
        for world, steps in contestants.items():
            if everyone.first or world > 1:
                found = steps.take(counts.get(world, 2))
                counts[world] = steps.processes.tell(lambda found=found, steps=steps: enough(found, steps, seconds))
                if number >= 0:
                    numbers[world].append(found)
            everyone.largest(0)
            if everyone.first and number >= 0:
                say(f"{name} round {number + 1}/{rounds}  {world} process(es): {numbers[world][-1]:,.1f} pictures/s")
    if not everyone.first:
        return {}
    one, all_of_them = numbers[1], numbers[everyone.world]
    gains = [b / a for a, b in zip(one, all_of_them, strict=True)]
    return {
        "pictures_per_second": {"1": statistics.median(one), str(everyone.world): statistics.median(all_of_them)},
        "gain": statistics.median(gains),
        "batch_per_process": config.train.batch,
        "precision": config.train.precision,
        "layout": config.train.layout,
    }


def enough(found: float, steps: Steps, seconds: float) -> int:
    """How many steps take about `seconds` at `found` pictures a second."""
    return max(2, round(seconds * found / steps.batch))


def resolved(config: Any, packed: Any) -> dict[str, str]:
    """Precision and layout that are fastest for one process with one thread."""
    train = resolve(config, packed, build, say).train
    return {"precision": train.precision, "layout": train.layout, "compile": "off", "device": train.device}


def work(args: argparse.Namespace) -> None:
    """What each process of the job does."""
    torch.set_num_threads(1)
    everyone = Processes.join()
    with tempfile.TemporaryDirectory() as place:
        store = Path(everyone.tell(lambda: place))
        if everyone.first:
            cifar10_files(store / "files", PICTURES)
        found = {}
        for name in args.recipes:
            found[name] = measured(name, store, everyone, args.seconds, args.rounds)
        everyone.largest(0)
    if everyone.first:
        result = {**record(), "data": "CIFAR-10, 32 px", "processes": everyone.world, "threads": 1, "recipes": found}
        say(str(save("scaling", result)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one run")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    if launch().world > 1:
        work(args)
        return
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={PROCESSES}"]
    command += ["-m", "benchmarks.scaling", *sys.argv[1:]]
    sys.exit(subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}).returncode)


if __name__ == "__main__":
    main()
