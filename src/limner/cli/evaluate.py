"""`limn eval`."""

from __future__ import annotations

from typing import Any

import click

from limner.cli.frame import verb
from limner.cli.options import COUNT, POSITIVE, Size, run_names, sampling, sampling_options
from limner.cli.terminal import Terminal


@verb("eval")
@click.argument("samples", metavar="RUN|FOLDER|NPZ", shell_complete=run_names)
@click.option("--data", help="The real pictures; a run knows its own.")
@click.option("--against", type=click.Choice(["held-out", "train"]), default="held-out", show_default=True)
@click.option("-n", "n", type=POSITIVE, default=2500, show_default=True, help="Pictures on either side.")
@click.option("--seed", type=COUNT, default=0, show_default=True, help="Of the run's pictures and of the choice.")
@click.option("--size", type=Size(), help="Of the real pictures, where it is not the run's or their own.")
@click.option("--features", default="default", metavar="NAME", help="The network to compare in.")
@click.option("--per-class", is_flag=True, help="Each class by itself as well, painted with its label.")
@click.option("--asked", is_flag=True, help="Whether a run's pictures show the labels that are asked for.")
@sampling_options
def evaluate(
    terminal: Terminal,
    samples: str,
    data: str | None,
    against: str,
    n: int,
    seed: int,
    size: Any,
    features: str,
    per_class: bool,
    asked: bool,
    **how: Any,
) -> None:
    """Measure the pictures of a run, a folder or an .npz file against real ones that were held out."""
    from limner import verbs

    common = {"against": against, "n": n, "seed": seed, "size": size, "features": features, "per_class": per_class}
    common["asked"] = asked
    result = verbs.evaluate(samples, data, progress=terminal.progress, **common, **sampling(how))
    terminal.result(result.to_dict(), result.text())
