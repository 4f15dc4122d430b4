"""`limn sweep`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from limner.cli.frame import verb
from limner.cli.options import COUNT, POSITIVE, run_names, sampling, sampling_options
from limner.cli.terminal import Terminal
from limner.errors import UserError


@verb("sweep")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=run_names)
@click.option("--over", "over", multiple=True, required=True, metavar="KEY=A,B,...", help="Values to try of an option.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="For sweep.html and sweep.json.")
@click.option("--data", help="The real pictures; a run knows its own.")
@click.option("--against", type=click.Choice(["held-out", "train"]), default="held-out", show_default=True)
@click.option("-n", "n", type=POSITIVE, default=1000, show_default=True, help="Pictures of each way, and real ones.")
@click.option("--seed", type=COUNT, default=0, show_default=True, help="Of the pictures and of the choice.")
@click.option("--features", default="default", metavar="NAME", help="The network to compare in.")
@sampling_options
def sweep(
    terminal: Terminal,
    runs: tuple[str, ...],
    over: tuple[str, ...],
    out: Path | None,
    data: str | None,
    against: str,
    n: int,
    seed: int,
    features: str,
    **how: Any,
) -> None:
    """Find the best way to sample RUN: paint it with every combination of options and measure each alike."""
    from limner import verbs

    command = ["limn", *sys.argv[1:]]
    common: dict[str, Any] = {"data": data, "against": against, "seed": seed, "features": features}
    common |= {key: value for key, value in sampling(how).items() if value is not None}
    told: dict[str, Any] = {"say": terminal.say, "progress": terminal.progress}
    found = verbs.sweep(runs, _values(over), out=out, n=n, command=command, **told, **common)
    text = found.pop("text")
    terminal.result(found, f"{text}\n{found['page']}")


def _values(texts: tuple[str, ...]) -> dict[str, list[Any]]:
    from limner.config import parse

    found: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        listed = [parse(value.strip()) for value in values.split(",") if value.strip()]
        if not equals or not key.strip() or not listed:
            raise UserError(f"--over {text!r}: write it as key=a,b,c")
        if key.strip() in found:
            raise UserError(f"--over {key.strip()} is given twice: name all its values in one")
        found[key.strip()] = listed
    return found
