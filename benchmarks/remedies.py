"""Remedy by modes covered: mode collapse and vanishing gradients on points, made to happen, and each remedy alone.

    python -m benchmarks.remedies collapse
    python -m benchmarks.remedies vanishing --shard 1/2

Writes benchmarks/results/remedies-SHOW.json after each row, and goes on from it; prints a table of docs/toy.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

import torch
from benchmarks.common import RESULTS, record, save, say

from limner.studies import toy
from limner.studies.toy import theory
from limner.studies.toy.plan import MODELS, SHOWS, remedies
from limner.studies.toy.points import PointPack
from limner.studies.toy.quality import quality
from limner.studies.toy.training import fresh, train

POINTS = 4096


def measured(data: str, show: str, remedy: str | None, steps: int, seed: int) -> dict[str, Any]:
    """Modes covered and share of good points of one training, by the averaged weights where there is an average."""
    points = toy.target(data)
    config = toy.configured(points, "gan", None, steps, seed, show, remedy)
    game = fresh(MODELS["gan"], config)
    began = time.process_time()
    average = train(game, config, PointPack(points, seed)).eval()
    seconds = time.process_time() - began
    found = quality(theory.points_of(average, seed, POINTS, "final"), points, seed)
    game.eval()
    return {
        "show": show,
        "remedy": remedy,
        "seed": seed,
        "steps": steps,
        **{name: found[name] for name in ("modes", "of", "good", "jsd", "floor")},
        "pull": theory.pull(game, seed, config.model.loss),
        "seconds": round(seconds, 1),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """As in docs/toy.md: nothing done, then the best remedy first."""
    lines = ["| remedy | modes covered, by seed | mean | good samples | divergence |", "|---|---|---|---|---|"]
    found = {name: [row for row in rows if row["remedy"] == name] for name in {row["remedy"] for row in rows}}

    def mean(name: str | None, key: str) -> float:
        return statistics.fmean(row[key] for row in found[name])

    for name in sorted(found, key=lambda one: (one is not None, -mean(one, "modes"), mean(one, "jsd"))):
        modes = ", ".join(str(row["modes"]) for row in found[name])
        label = "nothing" if name is None else f"`{name}`"
        good, jsd = f"{mean(name, 'good'):.0%}", f"{mean(name, 'jsd'):.2f}"
        lines.append(f"| {label} | {modes} | {mean(name, 'modes'):.1f} | {good} | {jsd} |")
    return "\n".join(lines)


def main() -> None:
    """Row after row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("show", choices=list(SHOWS))
    parser.add_argument("--data", default="ring8")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--shard", default="1/1", help="I/N: each N-th row from the I-th on")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    number, of = map(int, asked.shard.split("/"))
    cures = (None, *remedies(toy.target(asked.data), asked.show))
    wanted = [(remedy, seed) for seed in range(asked.seeds) for remedy in cures][number - 1 :: of]
    for remedy, seed in wanted if not asked.table else ():
        if any((row["remedy"], row["seed"], row["steps"]) == (remedy, seed, asked.steps) for row in there(asked.show)):
            continue
        row = measured(asked.data, asked.show, remedy, asked.steps, seed)
        say(f"{asked.show} / {remedy} / {seed}: {row['modes']} modes, {row['good']:.0%} good")
        # Read again: other shards write there too.
        save(f"remedies-{asked.show}", {**record(), "data": asked.data, "rows": [*there(asked.show), row]})
    print(table(there(asked.show)))


def there(show: str) -> list[dict[str, Any]]:
    """The rows that are written."""
    path = RESULTS / f"remedies-{show}.json"
    found: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.is_file() else []
    return found


if __name__ == "__main__":
    main()
