"""`limn toy`."""

from __future__ import annotations

from typing import Any

import click

from limner.cli.frame import verb
from limner.cli.options import COUNT, POSITIVE, assignments
from limner.cli.terminal import Terminal


@verb("toy")
@click.option(
    "--data",
    default="gaussian",
    show_default=True,
    metavar="NAME",
    help="gaussian, ring8, grid25, moons, spiral, checkerboard, or a picture: as dense as it is dark.",
)
@click.option("--model", default="gan", show_default=True, metavar="NAME", help="gan, flow, ddpm or edm.")
@click.option("--loss", metavar="NAME", help="Of the gan: minimax (the default), non-saturating, hinge ...")
@click.option("--steps", type=POSITIVE, default=2000, show_default=True, metavar="N", help="Optimiser steps.")
@click.option("--seed", type=COUNT, default=0, show_default=True, help="Of weights, points and noise.")
@click.option("--show", metavar="NAME", help="What goes wrong, on request: collapse or vanishing.")
@click.option("--remedy", metavar="NAME", help="What is done against it: r1+r2, noise, turns ...")
@click.option("--set", "others", multiple=True, metavar="KEY=VALUE", help="Any option of the model: r1=0.1.")
@click.option("--out", required=True, metavar="DIR", help="Where animation and report are written.")
def toy(terminal: Terminal, others: tuple[str, ...], **asked: Any) -> None:
    """Watch a small generator learn points in the plane, with the theory beside it.

    Writes animation.gif, report.html and report.json to --out, in less than a minute.
    """
    from limner import verbs

    found = verbs.toy(settings=assignments(others), progress=terminal.progress, **asked)
    terminal.result(found, "\n".join([*found["verdict"], "", f"{found['folder']}/report.html"]))
