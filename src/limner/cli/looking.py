"""`limn mix`, `limn attention` and `limn film`: what a model paints with, and how it came to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from limner.cli.frame import verb
from limner.cli.options import COUNT, POSITIVE, looking_options, run_names, sampling
from limner.cli.terminal import Terminal

_OUT = click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="The sheet, a PNG.")
_SEED = click.option("--seed", type=COUNT, default=0, show_default=True, help="Whose pictures the numbers are of.")


@verb("mix")
@click.argument("run", shell_complete=run_names)
@click.option("--coarse", default="0-4", show_default=True, metavar="N,...", help="Pictures by number, on the left.")
@click.option("--fine", default="5-10", show_default=True, metavar="N,...", help="Pictures by number, above.")
@click.option("--first", type=POSITIVE, metavar="K", help="The first layer of the fine ones; half of all.")
@_SEED
@_OUT
@looking_options
def mix(
    terminal: Terminal, run: str, coarse: str, fine: str, first: int | None, seed: int, out: Path | None, **how: Any
) -> None:
    """Paint with the coarse layers' styles of some pictures of RUN and the fine layers' of others. Pictures are named
    by the numbers that they have in `limn sample`."""
    from limner import verbs

    opened = verbs.open(run)
    out = out or opened.path / "generated" / f"mix-{seed}.png"
    found = verbs.mix(opened, out, coarse, fine, seed=seed, first=first, **sampling(how))
    terminal.result(found, found["sheet"])


@verb("attention")
@click.argument("run", shell_complete=run_names)
@click.option("--pictures", default="0-5", show_default=True, metavar="N,...", help="Which ones, by number.")
@_SEED
@_OUT
@looking_options
def attention(terminal: Terminal, run: str, pictures: str, seed: int, out: Path | None, **how: Any) -> None:
    """Draw over pictures of RUN where their places look, a row for each layer of attention. Pictures are named by the
    numbers that they have in `limn sample`."""
    from limner import verbs

    opened = verbs.open(run)
    out = out or opened.path / "generated" / f"attention-{seed}.png"
    found = verbs.attention(opened, out, pictures, seed=seed, **sampling(how))
    terminal.result(found, "\n".join([f"rows: {', '.join(found['layers'])}", found["sheet"]]))


@verb("film")
@click.argument("run", shell_complete=run_names)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="A .gif or .mp4; RUN/training.gif.")
@click.option("--milliseconds", type=POSITIVE, default=250, show_default=True, help="For which each sheet stands.")
def film(terminal: Terminal, run: str, out: Path | None, milliseconds: int) -> None:
    """Show the training of RUN as a film of the sheets that were drawn meanwhile; more of them are drawn with
    `limn train --set train.grid_every=50`."""
    from limner import verbs

    found = verbs.film(run, out, milliseconds=milliseconds)
    terminal.result(found, f"{found['sheets']} sheets: {found['film']}")
