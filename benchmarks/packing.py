"""Seconds to pack a set, against Pillow alone decoding, converting and resizing the same files.

    python -m benchmarks.packing

Pillow runs in a pool of two processes that take files in large chunks and keep nothing. Limner's time is that of the
whole call: finding the files, decoding in two processes, describing, looking for duplicates, dividing, writing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.common import ROUNDS, SETS, alternate, medians, ratios, record, save, say
from PIL import Image

from limner.data import DataOptions, pack
from limner.data.sources.photos import PHOTOGRAPHS as SHIPPED
from limner.data.sources.photos import photograph

PROCESSES = 2
TARGET = 1.3
CASES = {"avatars 64 to 32": ("avatars", 32), "avatars 64": ("avatars", 64), "emoji 72 to 64": ("emoji", 64)}
PHOTOGRAPHS, WHOLE, SMALL = 1200, (400, 300), 64
"""Photographs as JPEG files of the size that a web page has: how many, their (width, height), the size to pack."""


def one_picture(size: int, file: str) -> int:
    """Decode, convert, resize as Pillow does it; the sum proves that the pixels were there."""
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return int(np.asarray(picture)[0, 0, 0])


def photographs(folder: Path) -> Path:
    """Crops of the photographs of the built-in set as files in `folder`, each at a place of its own."""
    folder.mkdir()
    places = np.random.default_rng(0)
    for number in range(PHOTOGRAPHS):
        whole = photograph(sorted(SHIPPED)[number % len(SHIPPED)])
        left, top = (int(places.integers(max(0, a - b) + 1)) for a, b in zip(whole.size, WHOLE, strict=True))
        whole.crop((left, top, left + WHOLE[0], top + WHOLE[1])).save(folder / f"{number}.jpg", quality=90)
    return folder


def pillow(folder: Path, size: int) -> float:
    """Seconds of Pillow, with finding the files and starting its processes."""
    began = time.perf_counter()
    files = sorted(str(file) for file in folder.rglob("*") if file.suffix in (".png", ".jpg"))
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        sum(pool.imap_unordered(partial(one_picture, size), files, chunksize=128))
        spent = time.perf_counter() - began
        pool.close()
        pool.join()
    return spent


def limner(folder: Path, size: int) -> float:
    """Seconds of a whole packing into an empty folder."""
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        packed = pack(folder, DataOptions(size=size), out=Path(place) / "pack", workers=PROCESSES)
        spent = time.perf_counter() - began
        assert packed.shape[1:] == (size, size)
    return spent


def measure(folder: Path, size: int, rounds: int) -> dict[str, Any]:
    """Median seconds of both and their ratio; and that of the processors' time, which others' work moves less."""
    runs = {"Pillow": partial(pillow, folder, size), "limner": partial(limner, folder, size)}
    seconds, used = alternate(runs, rounds)
    return {
        "seconds": medians(seconds),
        "ratio": ratios(seconds, "limner", "Pillow"),
        "processor_seconds": medians(used),
        "processor_ratio": ratios(used, "limner", "Pillow"),
        "target": TARGET,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    cases = {}
    for name, (folder, size) in CASES.items():
        say(name)
        cases[name] = measure(SETS / folder, size, args.rounds)
    with tempfile.TemporaryDirectory() as place:
        name = f"photographs {'x'.join(map(str, WHOLE))} to {SMALL}"
        say(name)
        cases[name] = measure(photographs(Path(place) / "photographs"), SMALL, args.rounds)
    say(str(save("packing", {**record(), "processes": PROCESSES, "cases": cases})))


if __name__ == "__main__":
    main()
