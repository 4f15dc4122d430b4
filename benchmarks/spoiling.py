"""Are the faults of a set named rightly? Sets that were spoilt on purpose, and clean ones, go through `limn eval`.

python -m benchmarks.spoiling            mnist, cifar10 and avatars at 32 pixels, into benchmarks/results/spoiling.json
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

import numpy as np
import torch
from benchmarks import spoil
from benchmarks.common import SETS, record, save, say

from limner.data import DataOptions, Pack, pack
from limner.draws import seed_of
from limner.evaluation import evaluate

SIZES = {"mnist": None, "cifar10": None, "avatars": 32}
CLEAN = "clean"
FOLLOWING = {"unlike", "variety"}
"""What may be said as well: it follows from the fault."""


def degraded(name: str, strength: float) -> Callable[[np.ndarray], np.ndarray]:
    """One of the ways of `benchmarks.spoil` on uint8 pictures (N, H, W, C); grey ones come back in colour."""

    def change(pictures: np.ndarray) -> np.ndarray:
        coloured = np.repeat(pictures, 3, axis=3) if pictures.shape[3] == 1 else pictures
        x = torch.from_numpy(coloured).permute(0, 3, 1, 2).float() / 255
        x = spoil.WAYS[name](x, strength, torch.Generator().manual_seed(seed_of(0, "spoil", name)))
        return (x.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()

    return change


def cases(packed: Pack, n: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """(what was done, the name that it should get, pictures). Clean ones are of the validation slice."""
    fresh = packed.validation
    clean = packed.read(fresh[:n])
    yield "clean", CLEAN, clean
    yield "clean, half of them", CLEAN, packed.read(fresh[: max(40, n // 2)])
    yield "clean, forty of them", CLEAN, packed.read(fresh[-40:])
    for name, said, strengths in (
        ("noise", "noise", {"weak": 0.1, "strong": 0.5}),
        ("blur", "blur", {"weak": 0.15, "strong": 0.5}),
        ("jpeg", "jpeg", {"quality 20": 0.463, "quality 10": 0.694}),
        ("tint", "colours", {"weak": 0.15, "strong": 0.6}),
    ):
        for how, strength in strengths.items():
            yield f"{name}, {how}", said, degraded(name, strength)(clean)
    if packed.shape[0] == 3:
        yield "red and blue exchanged", "colours", clean[..., ::-1].copy()
    yield "negatives", "colours" if packed.shape[0] == 3 else "light", 255 - clean
    column = packed.manifest.class_column or "hair"
    both = np.concatenate([packed.validation, packed.held_out])
    codes = packed.labels(both, column)
    assert codes is not None, "all of these sets are labelled"
    for code in (0, 1, 3):
        name = packed.attributes[column][code]
        yield f"one class only ({column} {name})", "classes", packed.read(both[codes == code][:n])
    yield "ten pictures repeated", "repeated", clean[np.arange(n) % 10]
    yield "copies of training pictures", "copies", packed.read(packed.train[:: max(1, len(packed.train) // n)][:n])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spoiling", description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=400, help="pictures of each set")
    parser.add_argument("sets", nargs="*", default=list(SIZES))
    args = parser.parse_args()
    rows = []
    for name in args.sets:
        packed = pack(SETS / name, DataOptions(size=SIZES[name]))
        for what, expected, pictures in cases(packed, min(args.n, len(packed.validation))):
            found = evaluate(pictures, packed, n=len(pictures)).diagnosis
            names = [one.name for one in found.findings] or [CLEAN]
            rows.append(
                {
                    "data": name,
                    "what": what,
                    "expected": expected,
                    "said": names,
                    "words": [one.words for one in found.findings],
                    "n": len(pictures),
                    "right": names[0] == expected and set(names[1:]) <= FOLLOWING,
                }
            )
            say(f"{'ok  ' if rows[-1]['right'] else 'FAIL'} {name}: {what}: {'; '.join(rows[-1]['words']) or CLEAN}")
    right = sum(row["right"] for row in rows)
    print(save("spoiling", {**record(), "right": right, "of": len(rows), "rows": rows}))
    print(f"{right} of {len(rows)} named rightly")


if __name__ == "__main__":
    main()
