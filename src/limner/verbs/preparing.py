"""From pictures and wishes to one complete config, and the generator that it names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limner import runs as folders
from limner import storage
from limner.errors import UserError
from limner.verbs import units
from limner.verbs.datasets import Progress, changed, named, options_of
from limner.verbs.datasets import pack as pack_of
from limner.verbs.run import Run, open
from limner.verbs.wishes import DEFAULT_BUDGET, Wish

if TYPE_CHECKING:
    from limner.api import Generator, Recipe, Spec
    from limner.config import Config
    from limner.data import DataOptions, Pack

Say = Callable[[str], None]
Build = Callable[["Config"], "Generator"]


def prepare(
    data: str | Path,
    model: str | None,
    wish: Wish,
    given: str | Path | Config | None,
    init: str | Path | Run | None,
    progress: Progress | None,
    say: Say,
) -> tuple[Pack, Config, Callable[[Config], Any]]:
    """The pack, the complete config and how its generator is built."""
    from limner.api import Situation, Spec
    from limner.config import override
    from limner.data.balance import no_classes
    from limner.devices import pick_device
    from limner.families import build, checked, typing
    from limner.recipes import configure, recommend
    from limner.recipes.own import find

    # What can be found wrong before the pictures are packed is.
    start = open(init) if init is not None else None
    pick_device(wish.train.get("device", "auto"))
    chosen = find(model) if model is not None else None
    if chosen is not None and given is None:
        plain = configure(chosen, Situation(Spec(channels=3, height=32, width=32), 10_000))
        override(plain, wish.assignments(plain, 10_000), typing)
    options = options_of(wish.data)
    pack = pack_of(data, progress=progress, **wish.data)
    spec = spec_of(pack, options, wish.unconditional)
    if given is not None:
        complete = _from_config(given, chosen, spec, pack.pictures, wish.train.get("budget"))
    else:
        if chosen is None:
            name, why = recommend(spec, pack.pictures)
            say(f"model {name}: {why}")
            chosen = find(name)
        complete = configure(chosen, Situation(spec, pack.pictures, wish.train.get("budget")))
    complete = override(complete, wish.assignments(complete, pack.pictures), typing)
    complete = _with_an_end(complete, say)
    if complete.train.balance is not None and not pack.classes:
        raise no_classes("--balance", complete.train.balance)
    complete = _with_data(complete, data, pack, options)
    checked(complete)
    return (pack, complete, build) if start is None else (pack, *_starting_from(start, complete, build, say))


def spec_of(pack: Pack, options: DataOptions, unconditional: bool = False) -> Spec:
    """What a generator of these pictures gives: their size, and the labels that were named, else the classes.

    The class stands first, as pictures are shown by it; what all pictures share is no label.
    """
    from limner.api import Attribute, Spec

    channels, height, width = pack.shape
    column = pack.manifest.class_column
    columns = () if unconditional else options.label_columns or pack.manifest.chosen or ((column,) if column else ())
    known = [Attribute(name, pack.attributes[name], pack.ranges.get(name)) for name in columns]
    differing = [one for one in known if (one.range[0] < one.range[1] if one.range else len(one.values) > 1)]
    attributes = tuple(sorted(differing, key=lambda one: one.range is not None))
    return Spec(channels=channels, height=height, width=width, attributes=attributes)


def _with_an_end(config: Config, say: Say) -> Config:
    """The config with the default budget where nobody said how long."""
    import msgspec

    train = config.train
    if train.steps is not None or train.budget is not None or train.epochs is not None:
        return config
    say(f"budget {units.in_words(DEFAULT_BUDGET)}, because neither --budget nor --steps nor --epochs says how long")
    return msgspec.structs.replace(config, train=msgspec.structs.replace(train, budget=DEFAULT_BUDGET))


def _from_config(
    given: str | Path | Config, chosen: Recipe | None, spec: Spec, pictures: int, budget: float | None
) -> Config:
    """Model and training of a config file or object, for these pictures.

    A file may be whole, as in a run's folder, or name only the keys that differ from the recipe.
    """
    from limner.api import Situation
    from limner.config import from_dict, to_dict
    from limner.families import typing
    from limner.recipes import configure, recommend
    from limner.recipes.own import find

    raw = json.loads(json.dumps(to_dict(given))) if not isinstance(given, str | Path) else _read(Path(given))
    raw = raw["config"] if isinstance(raw.get("config"), dict) else raw
    raw = {key: value for key, value in raw.items() if key not in ("data", "resolved")}
    if chosen is not None and raw.get("recipe", chosen.name) != chosen.name:
        raise UserError(f"--config is of model {raw['recipe']!r}, --model says {chosen.name!r}: give one of them")
    if not {"recipe", "family", "model", "train"} <= set(raw):
        chosen = chosen or find(raw.get("recipe") or recommend(spec, pictures)[0])
        raw = _merged(to_dict(configure(chosen, Situation(spec, pictures, budget))), raw)
    return from_dict({**raw, "spec": to_dict(spec)}, typing)


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"--config {path} is not valid JSON: {error}") from None
    if not isinstance(raw, dict):
        raise UserError(f"--config {path} is not a config: expected an object, found {type(raw).__name__}")
    return raw


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    from limner.config import KIND

    if KIND in over and over[KIND] != base.get(KIND):
        return dict(over)
    both = {
        key: _merged(base[key], over[key])
        for key in over
        if isinstance(base.get(key), dict) and isinstance(over[key], dict)
    }
    return {**base, **over, **both}


def _with_data(config: Config, data: str | Path, pack: Pack, options: DataOptions) -> Config:
    import msgspec

    from limner.config import Data

    source, pictures = named(data), pack.pictures
    entry = Data(source=source, pack=str(pack.path), id=pack.id, options=changed(options), pictures=pictures)
    return msgspec.structs.replace(config, data=entry)


def _starting_from(run: Run, config: Config, build: Build, say: Say) -> tuple[Config, Build]:
    """The config and builder of a generator that starts with another run's weights where names and shapes agree."""
    import msgspec
    from safetensors.torch import load_file

    path = run.path / folders.WEIGHTS
    if not path.is_file():
        raise UserError(
            f"--init {run.path} has no {folders.WEIGHTS} yet: its training has not come to a first checkpoint"
        )
    theirs, weights = load_file(path), storage.hash_file(path)

    def fitting(model: Generator) -> dict[str, Any]:
        ours = model.state_dict()
        return {name: value for name, value in theirs.items() if name in ours and ours[name].shape == value.shape}

    def started(config: Config) -> Generator:
        model = build(config)
        found = fitting(model)
        model.load_state_dict(found, strict=False)
        if len(found) == len(model.state_dict()):
            # It would measure anew what the weights were trained with.
            model.start = lambda batch: None  # type: ignore[method-assign]
        return model

    model = build(config)
    taken, total = len(fitting(model)), len(model.state_dict())
    if not taken:
        raise UserError(f"--init {run.path}: none of its weights fits this model; choose a run of the same family")
    say(f"starting from {run.name}: {taken} of {total} tensors")
    return msgspec.structs.replace(config, init={"run": run.name, "weights": weights}), started
