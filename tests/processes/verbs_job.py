"""A job for torchrun, or for one process: packs, samples and measures. `python verbs_job.py OUT RUN`"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import limner
from limner.data import pool
from limner.verbs import datasets

PICTURES = {"limit": 300, "size": 12}


def work(place: Path, run: Path) -> None:
    """Everything, each process leaving a note of what it decoded and of what it was told."""
    rank = os.environ.get("RANK", "0")
    pool.WORTH_PROCESSES = 0.0  # a few digits would be packed by one process alone
    asked: list[int] = []
    real = pool.help_with_parts

    def noted(order: np.ndarray) -> np.ndarray:
        asked.extend(msgspec.json.decode(order.tobytes())["parts"])
        return real(order)

    pool.help_with_parts = noted
    packed = limner.pack("digits", place / "pack", **PICTURES)
    result = limner.evaluate(run, n=30)
    pictures = limner.sample(run, 10, seed=7)
    said: dict[str, Any] = {"parts": asked, "pack": packed.id, "pictures": int(pictures.pixels.sum())}
    said["measures"] = {name: [m.value, m.low, m.high, m.floor] for name, m in result.measures.items()}
    (place / f"rank-{rank}.json").write_text(json.dumps({**said, "notes": result.notes}))


if __name__ == "__main__":
    assert datasets.launch().world == 2
    work(Path(sys.argv[1]), Path(sys.argv[2]))
