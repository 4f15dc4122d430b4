"""The model card of a run: what it is, how good it is, how to use it. YAML head as model hubs read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner import storage
from limner.runs import CARD, RunFolder

if TYPE_CHECKING:
    from limner.config import Config

EVALS = "evals"


def write_card(folder: RunFolder) -> Path:
    """Write README.md from what the run's folder holds; called again after each evaluation."""
    config, status = folder.config, folder.status
    train, data = config.train, config.data
    grids = sorted(folder.samples.glob("step-*.png"))
    lines = [
        "---",
        "library_name: limner",
        "pipeline_tag: unconditional-image-generation",
        f"tags: [limner, {config.recipe}]",
        "---",
        "",
        f"# {folder.name}",
        "",
        f"A `{config.recipe}` generator of {config.spec} pictures, trained with Limner"
        + (f" on {data.pictures:,} pictures of `{data.source}`." if data else "."),
        "",
    ]
    if grids:
        lines += [f"![samples](samples/{grids[-1].name})", ""]
    lines += _table(
        {
            "state": status.get("state", "unknown"),
            "stopped because": status.get("reason", ""),
            "steps": f"{status.get('step', 0):,}",
            "time": f"{status.get('seconds', 0):.0f} s",
            "parameters": f"{config.resolved.get('parameters', 0):,}",
            "global batch": shared_by(config, status),
            "precision": f"{train.precision}, {train.layout}",
            "seed": str(train.seed),
            "weights": status.get("weights", "the last step's average"),
        }
    )
    lines += _scores(status.get("scores", []), shared_by(config, status))
    lines += _evaluations(folder)
    lines += [
        "",
        "## Use",
        "",
        "```",
        f"limn sample {folder.name} -n 64 --seed {train.seed} --grid grid.png",
        "```",
        "",
        "Its pictures are made by a machine and say so in their metadata. They can resemble training pictures; look at",
        "the nearest ones (`limn eval`) before you publish any.",
        "",
    ]
    path = folder / CARD
    storage.write_file(path, "\n".join(lines))
    return path


def shared_by(config: Config, status: Mapping[str, Any]) -> str:
    """The global batch and the number of processes that shared it, in words."""
    begun = config.resolved.get("processes", 1)
    now = status.get("processes", begun)
    first = f", {begun} at first" if begun != now else ""
    return f"{config.train.batch:,} on {now} process{'es' if now > 1 else ''}{first}"


def _table(rows: dict[str, str]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items() if value)]


def _scores(scores: list[list[float]], shared: str) -> list[str]:
    if not scores:
        return []
    rows = [f"| {int(step):,} | {value:.4g} |" for step, value in scores]
    head = [
        "## Scores while training (validation slice, lower is better)",
        "",
        f"Global batch: {shared}.",
        "",
        "| step | Fréchet distance |",
        "|---|---|",
    ]
    return ["", *head, *rows]


def _evaluations(folder: RunFolder) -> list[str]:
    found = sorted((folder / EVALS).glob("*.json")) if (folder / EVALS).is_dir() else []
    lines: list[str] = []
    for path in found:
        result: dict[str, Any] = json.loads(path.read_text())
        fd = result["fd"]
        lines.append(
            f"| {result['n']:,} | {fd['value']:.4g} ({fd['low']:.4g} to {fd['high']:.4g}) | {fd['floor']:.4g} "
            f"| {result['precision']['value']:.3f} | {result['recall']['value']:.3f} | `{result['protocol']}` |"
        )
    if not lines:
        return []
    said = [f"Asked: {words}." for words in dict.fromkeys(filter(None, map(_asked, found)))]
    head = ["| pictures | Fréchet distance | floor | precision | recall | protocol |", "|---|---|---|---|---|---|"]
    return ["", "## Measured against held-out pictures", "", *head, *lines, *(["", *said] if said else [])]


def _asked(path: Path) -> str | None:
    """What a judge found of what was asked for, in words; None where nobody wanted to know."""
    asked = json.loads(path.read_text()).get("asked")
    return asked["words"] if asked else None
