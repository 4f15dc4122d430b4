"""What this machine can do, measured: convolutions by precision and layout, memory, disk."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import nn

from limner.devices import machine, pick_device

_PICTURES, _CHANNELS, _SIDE = 32, 64, 16
_SECONDS = 1.5


def doctor() -> dict[str, Any]:
    """Versions, devices, memory, disk, and GFLOP/s of a convolution's forward and backward pass in each precision."""
    memory = psutil.virtual_memory()
    device = pick_device("auto")
    speeds = {
        f"{precision} {layout}": _gflops(device, precision, layout)
        for precision in ("float32", "bfloat16")
        for layout in ("contiguous", "channels_last")
    }
    best = max(speeds, key=lambda name: speeds[name])
    return {
        **machine(),
        "device": device,
        "threads": torch.get_num_threads(),
        "memory_gib": round(memory.total / 2**30, 1),
        "memory_free_gib": round(memory.available / 2**30, 1),
        "disk_free_gib": round(shutil.disk_usage(Path.cwd()).free / 2**30, 1),
        "disk_write_mib_per_second": round(_disk()),
        "load": round(os.getloadavg()[0], 2),
        "convolution_gflops": speeds,
        "fastest": best,
        "advice": _advice(),
    }


def _gflops(device: str, precision: str, layout: str) -> float:
    x = torch.ones(_PICTURES, _CHANNELS, _SIDE, _SIDE, device=device)
    convolution: Any = nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1, device=device)
    if layout == "channels_last":
        x, convolution = x.to(memory_format=torch.channels_last), convolution.to(memory_format=torch.channels_last)
    x.requires_grad_()
    work = 3 * 2 * 9 * _CHANNELS * _CHANNELS * _SIDE * _SIDE * _PICTURES  # forward, and backward to input and weights

    def once() -> None:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            convolution(x).float().square().sum().backward()

    once()
    began, count = time.monotonic(), 0
    while time.monotonic() - began < _SECONDS:
        once()
        count += 1
    return round(work * count / (time.monotonic() - began) / 1e9, 1)


def _disk() -> float:
    """MiB a second of one flushed write of 32 MiB."""
    with tempfile.NamedTemporaryFile(dir=Path.cwd() if os.access(Path.cwd(), os.W_OK) else None) as file:
        began = time.monotonic()
        file.write(bytes(32 * 2**20))
        file.flush()
        os.fsync(file.fileno())
        return 32 / (time.monotonic() - began)


def _advice() -> list[str]:
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    said = []
    if load > 0.5 * cores:
        said.append(f"other programs keep {load:.1f} of {cores} cores busy: trainings will be slower")
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        said.append("there is no C++ compiler: --compile stays off")
    return said
