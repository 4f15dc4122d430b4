"""The command `limn`: it parses and prints, `limner.verbs` does the work."""

from __future__ import annotations

import sys

import click

from limner.cli.frame import Verbs, run

_HOMES = {
    "data": ("limner.cli.data:data", "What is in a set of pictures; pack it."),
    "train": ("limner.cli.train:train", "Train a generator on pictures."),
    "sample": ("limner.cli.sample:sample", "Make pictures with a trained generator."),
    "eval": ("limner.cli.evaluate:evaluate", "Measure how good pictures are."),
    "sweep": ("limner.cli.sweep:sweep", "Find the best way to sample a run."),
    "compare": ("limner.cli.compare:compare", "Say which generator is best for your pictures."),
    "toy": ("limner.cli.toy:toy", "Watch a small generator learn, with the theory beside it."),
    "critique": ("limner.cli.critique:critique", "Score pictures with a run's discriminator."),
    "mix": ("limner.cli.looking:mix", "Join coarse styles of pictures with fine ones of others."),
    "attention": ("limner.cli.looking:attention", "Draw where the places of pictures look."),
    "film": ("limner.cli.looking:film", "Show a training as a film."),
    "models": ("limner.cli.lists:models", "Every recipe, or all of one."),
    "runs": ("limner.cli.lists:runs", "What was trained here."),
    "doctor": ("limner.cli.lists:doctor", "What this machine can do, measured."),
    "check": ("limner.cli.lists:check", "Test a recipe of your own."),
    "completion": ("limner.cli.lists:completion", "Let the shell complete commands."),
    "version": ("limner.cli.lists:version", "Which Limner this is."),
}


@click.command(
    "limn",
    cls=Verbs,
    homes=_HOMES,
    no_args_is_help=False,
    invoke_without_command=True,
    epilog="limn VERB --help says more. Start with: limn train digits",
)
@click.pass_context
def limn(context: click.Context) -> None:
    """Train, sample and measure image generators on your own pictures."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Entry point of the command line."""
    sys.exit(run(limn))
