"""Remedy by modes covered: mode collapse and vanishing gradients on points, made to happen, and each remedy alone.

    python -m benchmarks.remedies collapse
    python -m benchmarks.remedies vanishing

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
    parser.add_argument("--table", action="store_true", help="only print what is there")
    asked = parser.parse_args()
    name = f"remedies-{asked.show}"
    path = RESULTS / f"{name}.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    torch.set_num_threads(1)
    there = {(row["remedy"], row["seed"], row["steps"]) for row in rows}
    cures = (None, *remedies(toy.target(asked.data), asked.show))
    for seed in range(asked.seeds) if not asked.table else ():
        for remedy in cures:
            if (remedy, seed, asked.steps) in there:
                continue
            rows.append(measured(asked.data, asked.show, remedy, asked.steps, seed))
            say(f"{asked.show} / {remedy} / {seed}: {rows[-1]['modes']} modes, {rows[-1]['good']:.0%} good")
            save(name, {**record(), "data": asked.data, "rows": rows})
    print(table(rows))


if __name__ == "__main__":
    main()
