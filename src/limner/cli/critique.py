"""`limn critique`."""

from __future__ import annotations

from pathlib import Path

import click

from limner.cli.frame import verb
from limner.cli.options import run_names
from limner.cli.terminal import Terminal


@verb("critique")
@click.argument("run", shell_complete=run_names)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--label", metavar="NAME|K", help="What they are to be judged as; left open unless given.")
@click.option(
    "--crop", type=click.Choice(["center", "fit", "stretch"]), default="center", help="How others become its size."
)
@click.option("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps.")
def critique(terminal: Terminal, run: str, files: tuple[Path, ...], label: str | None, crop: str, device: str) -> None:
    """Score pictures with the discriminator of RUN: files, and folders of them. Higher is more like the pictures that
    it was trained on; scores of different runs cannot be compared."""
    from limner import verbs

    found = verbs.critique(run, files, label=label, crop=crop, device=device)
    terminal.result(found.to_dict(), found.text())
