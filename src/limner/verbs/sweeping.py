"""How should a run be sampled? Every combination of some options, painted and measured alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from limner import storage
from limner.errors import UserError
from limner.verbs.datasets import Progress
from limner.verbs.measuring import evaluate
from limner.verbs.run import Run, open

MEASURED = 1000
_MEASURING = ("data", "against", "seed", "features", "size", "per_class", "progress")


def sweep(
    runs: str | Path | Run | Sequence[str | Path | Run],
    over: Mapping[str, Sequence[Any]],
    *,
    out: str | Path | None = None,
    n: int = MEASURED,
    command: Sequence[str] = (),
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    **how: Any,
) -> dict[str, Any]:
    """Paint runs in every combination of sampling options and measure each against held-out pictures.

    Pictures and numbers are kept with each run: what was painted once is not painted again.

    Args:
        runs: one or several. over: values to try, by the name of the option, such as {"steps": [4, 8]}.
        out: folder for sweep.json and sweep.html; a new one in the first run's folder unless given.
        n: pictures of each way. command: what was typed, for the report.
        say: takes one line for each way. progress: called with what is being done and its share.
        how: as for `evaluate`: what all ways have in common (`precision`, `label`, `weaker`, `features`, ...).

    Returns:
        {"n", "best", "cheapest", "words", "points": [{"run", "options", "evaluations", "fd", "kd", ...}]}, best first.

    Raises:
        UserError: there is nothing to vary, an option is varied and fixed at once, or no way can be done. One way that
            a model cannot do is a point that says why.
    """
    from limner.studies import sweep as study

    opened = [open(run) for run in ([runs] if isinstance(runs, str | Path | Run) else runs)]
    if not opened or not all(over.values()):
        raise UserError("nothing to sweep: name a run, and at least one value for each option")
    if clash := sorted(set(over) & set(how)):
        raise UserError(f"{clash[0]} is both varied and fixed: leave one of them out")
    folder = Path(out) if out is not None else opened[0].path / "sweep"
    if folder.is_file():
        raise UserError(f"--out {folder} is a file: choose a folder")
    with storage.said_plainly(folder):
        folder.mkdir(parents=True, exist_ok=True)
    points = []
    for run in opened:
        for options in study.ways(over):
            point = _point(run, options, n, {**how, "progress": progress})
            points.append(point)
            if say is not None:
                say(f"{point.name}: {point.why or 'Fréchet distance ' + format(point.fd, '.3g')}")
    found = study.ranked(points)
    if not found:
        raise UserError(f"none of the {len(points)} ways could be measured; {points[0].name}: {points[0].why}")
    report = {
        "n": n,
        "best": found[0].to_dict(),
        "cheapest": study.cheapest_as_good(points).to_dict(),
        "words": study.in_words(points),
        "points": [point.to_dict() for point in [*found, *(point for point in points if point.why)]],
    }
    storage.write_file(folder / "sweep.json", json.dumps(report, indent=1) + "\n")
    storage.write_file(folder / "sweep.html", study.page(points, n, command))
    return {**report, "text": study.text(points), "page": str(folder / "sweep.html")}


def _point(run: Run, options: Mapping[str, Any], n: int, how: Mapping[str, Any]) -> Any:
    from limner.studies.sweep import SHOWN, Point

    painting = {**{key: value for key, value in how.items() if key not in _MEASURING}, **options}
    try:
        sampler = run.sampler(1, **painting)
        measured = evaluate(run, n=n, **how, **options).to_dict()
    except UserError as error:
        return Point(run.name, options, why=str(error))
    passes = sampler.model.evaluations(sampler.options)
    return Point(run.name, options, passes, {key: measured[key] for key in SHOWN if key in measured})
