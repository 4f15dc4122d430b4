"""`limn compare`."""

from __future__ import annotations

from typing import Any

import click

from limner.cli.frame import verb
from limner.cli.options import COUNT, POSITIVE, Duration, assignments, data_options
from limner.cli.terminal import Terminal


class Seeds(click.ParamType):
    """3 (seeds 0, 1 and 2), or which ones: 0,4,7."""

    name = "n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """How many, or a list."""
        if not isinstance(value, str):
            return value
        parts = [part.strip() for part in value.split(",") if part.strip()]
        if not parts or not all(part.isdecimal() for part in parts):
            raise click.BadParameter(f"{value!r} is neither a number of seeds nor a list like 0,1,2", ctx, param)
        numbers = [int(part) for part in parts]
        return numbers if "," in value else numbers[0]


@verb("compare")
@click.argument("data")
@click.option(
    "--models",
    default="all",
    show_default=True,
    metavar="A,B,...",
    help="Recipes, groups such as baselines, my_file.py:recipe, runs, folders of pictures, .npz files; NAME=PATH.",
)
@click.option("--out", required=True, metavar="DIR", help="Where everything of the comparison is kept.")
@click.option("--budget", type=Duration(), help="Running time of each training: 90s, 10m, 2h. 10m if nothing is said.")
@click.option("--steps", type=POSITIVE, metavar="N", help="Optimiser steps of each, instead of a time.")
@click.option(
    "--seeds", type=Seeds(), default="1", show_default=True, help="Trainings of each recipe, or which: 0,4,7."
)
@data_options
@click.option("--against", type=click.Choice(["held-out", "train"]), default="held-out", show_default=True)
@click.option("-n", "n", type=POSITIVE, default=2500, show_default=True, help="Pictures measured of each.")
@click.option("--seed", type=COUNT, default=0, show_default=True, help="Of the pictures that are made and measured.")
@click.option("--features", default="default", metavar="NAME", help="The network to compare in.")
@click.option("--set", "others", multiple=True, metavar="KEY=VALUE", help="Any key of the config, for every training.")
@click.option(
    "--no-per-class",
    "per_class",
    is_flag=True,
    flag_value=False,
    default=True,
    help="Do not paint and measure each class by itself as well, which takes as long again.",
)
@click.option("--shard", metavar="I/N", help="Only each N-th row from the I-th on; then once more without it.")
@click.option("--again", is_flag=True, help="Make rows that failed once more.")
@click.option(
    "--no-real",
    "show_real",
    is_flag=True,
    flag_value=False,
    default=True,
    help="No real pictures in the report, so that it can be given away.",
)
@click.option("--dry-run", is_flag=True, help="Only say what it would cost.")
def compare(terminal: Terminal, data: str, models: str, others: tuple[str, ...], dry_run: bool, **asked: Any) -> None:
    """Say which generator is best for the pictures of DATA.

    Trains each model (or takes what is there), measures all alike, and writes report.html and report.json to --out.
    After an interruption the same command goes on.
    """
    from limner import verbs

    found = verbs.compare(
        data,
        models,
        dry_run=dry_run,
        settings=dict(assignments(others)),
        quiet=terminal.quiet,
        progress=terminal.progress,
        say=terminal.say,
        **asked,
    )
    if dry_run:
        terminal.result(found, verbs.cost_in_words(found))
        return
    if not found["complete"]:
        terminal.result(found, f"{len(found['missing'])} of {found['rows']} rows are not made yet in {found['folder']}")
        return
    lines = [*found["verdict"], "", f"{found['folder']}/report.html"]
    terminal.result(found, "\n".join(lines))
