"""`limn train`."""

from __future__ import annotations

from typing import Any

import click

from limner.cli.frame import verb
from limner.cli.options import COUNT, POSITIVE, Duration, Number, assignments, data_options, model_names, run_names
from limner.cli.terminal import Terminal
from limner.errors import UserError


@verb("train")
@click.argument("data", required=False)
@click.option(
    "--model", metavar="NAME", shell_complete=model_names, help="A recipe (limn models), or my_file.py:recipe."
)
@click.option("--out", metavar="DIR", help="The run's folder; runs/MODEL-0001 or the next free number.")
@click.option("--budget", type=Duration(), help="Running time: 90s, 10m, 1m30s, 2h. 10m where nothing is said.")
@click.option("--steps", type=POSITIVE, metavar="N", help="Optimiser steps, instead of a time.")
@click.option(
    "--epochs", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Passes over the set, instead."
)
@data_options
@click.option("--batch", type=Number(), help="Pictures a step.")
@click.option("--balance", type=click.Choice(["none", "sqrt", "full"]), help="How far classes are evened out.")
@click.option("--seed", type=COUNT, metavar="N", help="Of everything random.")
@click.option("--precision", type=click.Choice(["auto", "float32", "bfloat16", "float64"]), help="auto measures.")
@click.option("--device", metavar="NAME", help="auto, cpu, cuda or mps.")
@click.option("--compile", type=click.Choice(["auto", "on", "off"]), help="auto measures where it can pay.")
@click.option("--keep", type=POSITIVE, metavar="N", help="Checkpoints to keep.")
@click.option(
    "--tracker", default="tensorboard", metavar="NAME", help="tensorboard or none; metrics.jsonl is always there."
)
@click.option("--resume", is_flag=True, help="Go on with the run in --out, or with the newest one.")
@click.option("--extend", metavar="TIME", help="Go on beyond the end: 10m, or 500steps.")
@click.option("--init", metavar="RUN", shell_complete=run_names, help="Start with another run's weights.")
@click.option("--config", metavar="FILE", help="Take model and training from a JSON file.")
@click.option("--set", "others", multiple=True, metavar="KEY=VALUE", help="Any key of the config (limn models NAME).")
@click.option("--dry-run", is_flag=True, help="Only say what it would cost.")
def train(
    terminal: Terminal,
    data: str | None,
    model: str | None,
    others: tuple[str, ...],
    dry_run: bool,
    resume: bool,
    extend: str | None,
    **asked: Any,
) -> None:
    """Train a generator on DATA, which is anything that limn data reads.

    The run's folder has the weights, the pictures drawn on the way, the numbers and a card. Ctrl-C keeps the run;
    --resume goes on with it, to the bit.
    """
    from limner import verbs
    from limner.verbs.units import in_words

    watch: dict[str, Any] = {"progress": terminal.progress, "say": terminal.say, "keys": assignments(others)}
    if dry_run:
        needless = [name for name in ("init", "out") if asked.pop(name) is not None]
        if resume or extend or data is None:
            raise UserError("--dry-run needs DATA, and neither --resume nor --extend")
        asked.pop("tracker")
        cost = verbs.estimate(data, model, **asked, **watch)
        if needless:
            terminal.say(f"{', '.join(needless)} makes no difference to the cost")
        terminal.result(cost, _cost(cost))
        return
    run = verbs.train(data, model, resume=resume, extend=extend, quiet=terminal.quiet, **asked, **watch)
    if terminal.mute:
        return
    terminal.clear()
    status = run.status
    took = in_words(status["seconds"])
    lines = [f"{run.path}: {status['state']} at step {status['step']:,} after {took} ({status['reason']})"]
    if status.get("weights"):
        lines.append(f"weights: {status['weights']}")
    if status["state"] == "finished":
        lines.append(f"next: limn sample {run.path} -n 64, limn eval {run.path}")
    else:
        lines.append(f"next: limn train --resume --out {run.path}")
    terminal.result({"run": str(run.path), **status}, "\n".join(lines))


def _cost(cost: dict[str, Any]) -> str:
    from limner.verbs.units import in_words

    said = {
        "model": f"{cost['recipe']}, {cost['parameters']:,} parameters",
        "memory": f"about {cost['peak_bytes'] / 2**20:,.1f} MiB at the peak, batch {cost['batch']}",
        "speed": f"{cost['pictures_per_second']:,.0f} pictures/s, {cost['precision']}, {cost['layout']}",
        "time": f"{in_words(cost['seconds'])}: {cost['steps']:,} steps, {cost['epochs']:,} passes over the set",
        "disk": f"about {cost['disk_bytes'] / 2**20:,.1f} MiB",
    }
    return "\n".join(f"{name:<8}{text}" for name, text in said.items())
