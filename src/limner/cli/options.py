"""Options that several verbs share, and how a command line's words become values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from limner.errors import UserError
from limner.verbs import ROOT, units


class Duration(click.ParamType):
    """90s, 10m, 1m30s or 2h, in seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        return units.duration(value)


class Size(click.ParamType):
    """32, or height x width like 48x64."""

    name = "pixels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A number, or (height, width)."""
        return units.size(value)


class Number(click.ParamType):
    """A whole number of at least 1, or the word auto."""

    name = "n|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The number or "auto"."""
        if value == "auto" or isinstance(value, int):
            return value
        if not str(value).isdecimal() or int(value) < 1:
            raise click.BadParameter(f"{value!r} is neither a whole number of at least 1 nor auto", ctx, param)
        return int(value)


POSITIVE = click.IntRange(min=1)
COUNT = click.IntRange(min=0)


def run_names(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Names of runs, for the shell."""
    root = Path(ROOT)
    names = [path.name for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    return [name for name in ["latest", *sorted(names)] if name.startswith(begun)]


def model_names(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Names of recipes, for the shell."""
    from limner.verbs.catalogue import names

    return [name for name in names() if name.startswith(begun)]


def assignments(texts: tuple[str, ...]) -> dict[str, str]:
    """`--set key=value`, as often as it was given."""
    from limner.config import assignments_of

    return assignments_of(texts)


def data_options(held: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: how a set of pictures is read."""
    options = [
        click.option("--size", type=Size(), help="Pixels: 32, or height x width like 48x64. Native where all agree."),
        click.option(
            "--crop", type=click.Choice(["center", "fit", "stretch", "random"]), help="How others become that size."
        ),
        click.option(
            "--alpha", type=click.Choice(["composite", "keep"]), help="Transparency: onto white, or a channel."
        ),
        click.option(
            "--labels", metavar="COLUMN", help="Column with the labels; a,b:number for several; none for no labels."
        ),
        click.option("--captions", metavar="COLUMN", help="Column with the captions."),
        click.option("--classes", metavar="A,B", help="Only these classes."),
        click.option("--split", metavar="NAME", help="Only this part of the set: train, test, ..."),
        click.option("--limit", type=POSITIVE, metavar="N", help="At most so many pictures."),
        click.option("--without", metavar="A=X,B=Y", help="A combination of labels that training sees nothing of."),
        click.option(
            "--longtail", type=float, metavar="F", help="Fewer and fewer of each class: the first has F times the last."
        ),
        click.option(
            "--data-seed",
            type=COUNT,
            metavar="N",
            help="Which pictures --limit, --longtail and the drawn sets take; not the training's --seed.",
        ),
        click.option("--frames", type=POSITIVE, metavar="T", help="Films as clips of so many frames."),
        click.option("--stride", type=POSITIVE, metavar="S", help="A clip begins every S frames; T unless given."),
        click.option("--slices", type=click.Choice(["axial", "coronal", "sagittal"]), help="Of medical volumes."),
        click.option("--window", metavar="C,W|full", help="Grey values shown of medical scans; the file's own."),
        click.option("--stream", is_flag=True, default=None, help="Read tars or parquet as they are trained on."),
        click.option("--head", type=POSITIVE, metavar="N", help="First pictures that a stream is judged by (10000)."),
        click.option("--buffer", type=POSITIVE, metavar="N", help="Pictures of a stream shuffled at a time (4096)."),
        click.option("--depth", type=click.Choice(["8", "16"]), help="16 keeps 16-bit grey."),
        click.option("--channels", type=click.Choice(["auto", "1", "3", "4"]), help="1 makes them grey."),
    ]
    for option in reversed(options):
        held = option(held)
    return held


_LABEL = click.option(
    "--label", metavar="NAME|K|all", help="A class by name or number, attribute=value, or all in turn."
)
_TRUNCATION = click.option("--truncation", type=float, metavar="X", help="Smaller: more typical, less diverse.")
_OTHERS = click.option("--set", "others", multiple=True, metavar="KEY=VALUE", help="Any other option of the model.")
_DEVICE = click.option("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or mps.")


def sampling_options(held: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: how pictures are painted; a model says which of these it takes."""
    options = [
        _LABEL,
        click.option("--steps", type=POSITIVE, metavar="N", help="Steps of the solver."),
        click.option("--solver", metavar="NAME", help="heun, unipc, adaptive ...: see the model's page."),
        click.option(
            "--guidance", type=float, metavar="W", help="How strongly the label is followed; 1 as it was learnt."
        ),
        click.option("--weaker", metavar="RUN", help="A worse run, or RUN@STEP, for --set autoguidance=2."),
        _TRUNCATION,
        _OTHERS,
        click.option(
            "--precision",
            type=click.Choice(["auto", "float32", "bfloat16", "float64"]),
            default="auto",
            show_default=True,
            help="auto: as the run was trained, where that shows in no picture.",
        ),
        _DEVICE,
    ]
    for option in reversed(options):
        held = option(held)
    return held


def looking_options(held: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: of which pictures something is shown, for `sampling`."""
    for option in (_DEVICE, _OTHERS, _TRUNCATION, _LABEL):
        held = option(held)
    return held


def sampling(values: dict[str, Any]) -> dict[str, Any]:
    """The values of `sampling_options` as arguments of `Run.sampler`: what was not given is left to the model."""
    from limner.config import parse

    others = {key: parse(text) for key, text in assignments(values.pop("others")).items()}
    clash = set(others) & {"n", "seed", "label", "chunk", "precision", "batch", "device"}
    if clash:
        raise UserError(f"--set {min(clash)}=...: write it as --{min(clash)}")
    label = values.pop("label")
    given = {key: value for key, value in values.items() if value is not None}
    return {**given, **others, "label": label}
