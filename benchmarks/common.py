"""What the benchmarks share: the pictures, alternating runs, and a record of where a number comes from."""

from __future__ import annotations

import datetime
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from limner import storage

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
SETS = Path(os.environ.get("LIMNER_TEST_DATA", ROOT.parent / "shared" / "data"))
"""Folder of the real pictures: mnist/, cifar10/, emoji/, faces/, avatars/."""

ROUNDS = 5


Numbers = dict[str, list[float]]


def alternate(contestants: Mapping[str, Callable[[], float]], rounds: int = ROUNDS) -> tuple[Numbers, Numbers]:
    """Each contestant's number, `rounds` times, and the processors' seconds that each run took.

    They take turns, so that what else the machine does falls on all of them alike.
    """
    taken: Numbers = {name: [] for name in contestants}
    used: Numbers = {name: [] for name in contestants}
    for number in range(rounds):
        for name, run in contestants.items():
            began = processor_seconds()
            taken[name].append(run())
            used[name].append(processor_seconds() - began)
            say(f"round {number + 1}/{rounds}  {name}: {taken[name][-1]:,.4g}")
    return taken, used


def processor_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def ratios(numbers: Mapping[str, list[float]], ours: str, theirs: str) -> float:
    """Median over the rounds of ours / theirs: both sides of each ratio were measured next to each other."""
    return statistics.median(a / b for a, b in zip(numbers[ours], numbers[theirs], strict=True))


def medians(numbers: Mapping[str, list[float]]) -> dict[str, float]:
    """The middle run of each contestant."""
    return {name: statistics.median(values) for name, values in numbers.items()}


def record(seed: int = 0) -> dict[str, Any]:
    """Command, commit, machine and its load, versions, date: what every result carries."""
    import torch

    arguments = sys.argv[1:]
    module = getattr(sys.modules["__main__"].__spec__, "name", "")
    return {
        "command": shlex.join(["python", "-m", module.removesuffix(".__main__"), *arguments]),
        "seed": seed,
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "load": round(os.getloadavg()[1], 1),
        "torch": str(torch.__version__),
    }


def machine() -> str:
    """Processor, cores and instruction set in words."""
    import torch

    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    features = [torch.backends.cpu.get_cpu_capability()]
    features += ["AVX512-BF16"] if torch.cpu._is_avx512_bf16_supported() else []
    features += ["AMX"] if torch.cpu._is_amx_tile_supported() else []
    return f"{cpu}, {os.cpu_count()} cores, {', '.join(features)}"


def commit() -> str:
    """Short name of the commit; a plus where the source has changed since."""
    name = _git("rev-parse", "--short", "HEAD")
    return name + ("+" if _git("status", "--porcelain", "--", "src") else "")


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Write a result to benchmarks/results/NAME.json, whole or not at all."""
    path = RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    storage.write_file(path, json.dumps(result, indent=1) + "\n")
    return path


def say(text: str) -> None:
    """One line of progress."""
    print(text, file=sys.stderr, flush=True)


def cifar10_files(folder: Path, count: int) -> Path:
    """The first `count` pictures of CIFAR-10 as JPEG files, one folder a class."""
    import pyarrow.parquet as parquet

    table = parquet.read_table(next((SETS / "cifar10").rglob("*.parquet"))).slice(0, count)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    label = next(name for name in columns if name != "image")
    for number, (picture, code) in enumerate(zip(columns["image"], columns[label], strict=True)):
        place = folder / f"class{code}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:05d}.jpg").write_bytes(picture["bytes"])
    return folder


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
