"""Pictures a second into the training loop: a packed set against what people use today, on the same files.

    python -m benchmarks.loading 32        CIFAR-10 as JPEG files
    python -m benchmarks.loading 64        avatars, PNG files

Everybody gives shuffled batches of 64 as float tensors (B, 3, H, W) in [-1, 1], files in the page cache, processes
started and warm, one thread a process. Of each peer several settings are measured, and the best is compared with.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.common import ROUNDS, SETS, alternate, cifar10_files, medians, ratios, record, save, say
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from limner.data import Batches, DataOptions, pack

BATCH = 64
TARGETS = {"DataLoader": 10.0, "datasets": 5.0}


class Files(Dataset):
    """Pictures of a folder as tutorials read them: open, convert, to tensor, normalise."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self.files[index]) as file:
            picture = file.convert("RGB")
        x = torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float().div(255)
        return (x - 0.5) / 0.5


class Endless:
    """Batches of a source that is begun again when it is through; counts pictures a second."""

    def __init__(self, make: Callable[[], Iterator[Tensor]]) -> None:
        self.make = make
        self.source = self.make()

    def next(self) -> Tensor:
        try:
            return next(self.source)
        except StopIteration:
            self.source = self.make()
            return next(self.source)

    def rate(self, seconds: float) -> float:
        """Pictures a second over so many seconds."""
        self.next()
        began, count = time.perf_counter(), 0
        while (spent := time.perf_counter() - began) < seconds:
            count += len(self.next())
        return count / spent


def limner(folder: Path, seed: int, store: Path) -> Callable[[], Iterator[Tensor]]:
    """Batches of the packed set."""
    packed = pack(folder, DataOptions(), out=store / "pack")
    batches = Batches(packed, packed.train, BATCH, seed)
    step = iter(range(1 << 62))
    return lambda: (batches.at(number).pictures for number in step)


def loader(folder: Path, workers: int) -> Callable[[], Iterator[Tensor]]:
    """PyTorch's loader over the files."""
    made = DataLoader(
        Files(folder), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0, drop_last=True
    )
    return lambda: iter(made)


def hugging_face(folder: Path, seed: int, store: Path) -> dict[str, Callable[[], Iterator[Tensor]]]:
    """Hugging Face datasets over the same folder, in the ways its guide shows."""
    import datasets

    datasets.disable_progress_bars()
    plain = datasets.load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=str(store / "hf"))
    plain = plain.select_columns(["image"]).shuffle(seed=seed)
    tensors = plain.with_format("torch")

    def floats(pictures: Any) -> Tensor:
        x = pictures if isinstance(pictures, Tensor) else torch.stack(list(pictures))
        return x[:, :3].float().div(127.5).sub(1)  # as they are stored, so with opacity where files have it

    def transform(rows: dict[str, list[Any]]) -> dict[str, list[Tensor]]:
        pictures = [torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1) for picture in rows["image"]]
        return {"image": [picture.contiguous().float().div(127.5).sub(1) for picture in pictures]}

    def loaded(source: Any, workers: int) -> Callable[[], Iterator[Tensor]]:
        made = DataLoader(
            source, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0, drop_last=True
        )
        return lambda: (b["image"] if b["image"].is_floating_point() else floats(b["image"]) for b in made)

    return {
        "datasets, with_format, iter": lambda: (floats(b["image"]) for b in tensors.iter(BATCH, drop_last_batch=True)),
        "datasets, with_format, loader, 0 workers": loaded(tensors, 0),
        "datasets, with_format, loader, 2 workers": loaded(tensors, 2),
        "datasets, with_transform, loader, 2 workers": loaded(plain.with_transform(transform), 2),
    }


def measure(folder: Path, seed: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Pictures a second of everybody on one folder, and Limner's lead over the best of each peer."""
    with tempfile.TemporaryDirectory() as store:
        ways = {
            "limner": limner(folder, seed, Path(store)),
            "DataLoader, 0 workers": loader(folder, 0),
            "DataLoader, 2 workers": loader(folder, 2),
            **hugging_face(folder, seed, Path(store)),
        }
        shapes = {name: tuple(next(make()).shape) for name, make in ways.items()}
        assert len(set(shapes.values())) == 1, f"not the same batches: {shapes}"

        def run(make: Callable[[], Iterator[Tensor]]) -> float:
            # One source at a time is alive, so that nobody's waiting workers take the others' processors.
            source = Endless(make)
            source.rate(seconds)
            return source.rate(seconds)

        numbers, _ = alternate({name: partial(run, make) for name, make in ways.items()}, rounds)
    middle, lead = medians(numbers), {}
    for peer in TARGETS:
        best = max((name for name in middle if name.startswith(peer)), key=lambda name: middle[name])
        lead[peer] = {
            "best": best,
            "ratio": ratios(numbers, "limner", best),
            "target": TARGETS[peer],
        }
    return {"shape": next(iter(shapes.values())), "pictures_per_second": middle, "lead": lead}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", type=int, choices=(32, 64))
    parser.add_argument("--seconds", type=float, default=0.6, help="of one run, after as many to warm up")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--count", type=int, default=10_000, help="pictures of CIFAR-10 that are written as files")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = cifar10_files(Path(place) / "cifar10", args.count) if args.size == 32 else SETS / "avatars"
        found = measure(folder, args.seed, args.seconds, args.rounds)
    data = {32: "CIFAR-10, 32 px, JPEG", 64: "avatars, 64 px, PNG"}[args.size]
    say(str(save(f"loading-{args.size}", {**record(args.seed), "data": data, "batch": BATCH, **found})))


if __name__ == "__main__":
    main()
