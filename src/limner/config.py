"""Typed, frozen configs: build, override, load, save. An unknown key is an error that names the nearest one."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, dataclass_transform, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from limner.errors import UserError, unknown

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Memory = Annotated[float, Meta(ge=0, lt=1)]
Size = Annotated[float, Meta(ge=0)]


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every config: immutable, typed, refuses unknown keys.

    Attributes:
        formerly: what keys were called when runs were saved that are still about, and what they are called now.
    """

    formerly: ClassVar[Mapping[str, str]] = {}

    def idle(self) -> Mapping[str, str]:
        """Options that mean nothing beside the others, each with why: it is an error to ask for one of them."""
        return {}


class Optimiser(Options):
    """An optimiser by name, with its learning rate as a function of progress.

    The rate rises linearly over the first `warmup` of the plan, and falls to zero over the last `decay` of it
    (`shape`: along a line, a half cosine, or 1 - sqrt as in warm-up-stable-decay).
    """

    name: Literal["sgd", "momentum", "rmsprop", "adam", "adamw", "muon"] = "adamw"
    rate: Annotated[float, Meta(gt=0)] = 1e-3
    betas: tuple[Memory, Memory] = (0.9, 0.99)
    weight_decay: Size = 0.0
    momentum: Memory = 0.9
    eps: Annotated[float, Meta(gt=0)] = 1e-8
    warmup: Fraction = 0.0
    decay: Fraction = 0.0
    shape: Literal["linear", "cosine", "sqrt"] = "linear"

    def idle(self) -> Mapping[str, str]:
        """See `Options.idle`."""
        unknown_to = {"sgd": ("momentum", "betas", "eps"), "momentum": ("betas", "eps"), "muon": ()}
        found = dict.fromkeys(unknown_to.get(self.name, ("momentum",)), f"{self.name} has none")
        return found if self.decay else {**found, "shape": "the rate does not fall, add decay=0.4"}


class Augment(Options):
    """What may happen to a training picture at random. Off unless a recipe or a person asks for it.

    Attributes:
        flip: mirror left and right, with this probability (0.5 is usual; wrong for writing).
        shift: move by up to this share of the side in each direction, whole pixels, edges repeated.
        crop: cut out down to this share of the sides (1: nothing) and scale back.
        turn: rotate by up to so many degrees, edges repeated.
    """

    flip: Fraction = 0.0
    shift: Annotated[float, Meta(ge=0, le=0.5)] = 0.0
    crop: Annotated[float, Meta(ge=0.1, le=1)] = 1.0
    turn: Annotated[float, Meta(ge=0, le=180)] = 0.0


class Training(Options):
    """How a generator is trained. What is "auto" or 0 is measured at the first start and then written here.

    `balance` evens out how often classes come: in proportion to the square root of their size, or equally.
    """

    seed: int = 0
    batch: Count = 0
    steps: Positive | None = None
    budget: Annotated[float, Meta(gt=0)] | None = None
    epochs: Annotated[float, Meta(gt=0)] | None = None
    plan: tuple[tuple[int, int, float], ...] = ()
    precision: Literal["auto", "float32", "bfloat16", "float64"] = "auto"
    layout: Literal["auto", "contiguous", "channels_last"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    device: str = "auto"
    threads: Count = 0
    accumulate: Positive = 1
    clip: Size = 0.0
    average: Annotated[float, Meta(ge=0, lt=0.28)] = 0.05
    augment: Augment = Augment()
    balance: Literal["sqrt", "full"] | None = None
    checkpoint_every: Count = 0
    grid_every: Count = 0
    keep: Positive = 2
    scores: Count = 4
    retries: Count = 3


class Data(Options):
    """The pictures a run was trained on: where they were, which pack they became, how they were read."""

    source: str
    pack: str
    id: str
    options: dict[str, Any] = {}
    pictures: Count = 0


class Config(Options):
    """Everything that a run is a function of. `spec` and `model` are of the types that the family names.

    `init` names the run whose weights were the start, with their SHA-256.
    """

    recipe: str
    family: str
    spec: Any
    model: Any
    train: Training
    data: Data | None = None
    init: dict[str, Any] | None = None
    resolved: dict[str, Any] = {}


KIND = "kind"
"""The key that says of which kind options are, where a place may have several (structs with this as `tag_field`).

Without it they are of the first kind that the place may have.
"""

Kinds = Mapping[str, type[Options]]

Typing = Callable[[str], tuple[type, type]]
"""Family name to (spec type, model config type): handed in, so that this module knows no family."""


def from_dict(raw: Mapping[str, Any], typing: Typing) -> Config:
    """A typed `Config` from plain values. Raises `UserError` for unknown keys and impossible values."""
    config: Config = _typed(dict(raw), Config, "config")
    spec, model = typing(config.family)
    return msgspec.structs.replace(
        config,
        spec=_typed(config.spec, spec, "config"),
        model=_typed(_known(config.model, model, "model"), model, "config"),
    )


def to_dict(config: msgspec.Struct) -> dict[str, Any]:
    """Plain values, ready for JSON."""
    plain = msgspec.to_builtins(config)
    assert isinstance(plain, dict)
    return plain


def load(path: Path, typing: Typing) -> Config:
    """The config of a JSON file."""
    try:
        raw = json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"no config at {path}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} is not a config: expected an object, found {type(raw).__name__}")
    return from_dict(raw, typing)


def dumps(config: msgspec.Struct) -> str:
    """JSON text, one key a line, stable."""
    return json.dumps(to_dict(config), indent=2) + "\n"


def override(config: Config, assignments: Mapping[str, Any], typing: Typing) -> Config:
    """A config with `key=value` replaced. Keys are paths (`train.batch`) or their last part where that is unique.

    Values may be text as typed on a command line: numbers, true/false, null, JSON lists, or plain words. Where options
    may be of several kinds, the word that names another kind (`network=transformer`) puts that one's defaults there,
    which later assignments change.
    """
    raw, typed = to_dict(config), {}
    choices = {f"model.{name}": kinds for name, hint in _hints(type(config.model)).items() if (kinds := _kinds(hint))}
    for key, value in assignments.items():
        value = parse(value) if isinstance(value, str) else value
        path = _resolve(key, raw, choices)
        if isinstance(value, str) and (place := path.removesuffix(f".{KIND}")) in choices:
            path, value = place, _of_kind(value, _at(raw, place), choices[place], place)
        above, _, last = path.rpartition(".")
        _at(raw, above)[last] = value
        typed[key] = above, last, value
    found = from_dict(raw, typing)
    for key, (above, last, value) in typed.items():
        held = functools.reduce(getattr, above.split("."), found)
        if isinstance(held, Options) and (why := held.idle().get(last)):
            raise UserError(f"{key}={value} has no effect: {why}")
    return found


def assignments_of(texts: tuple[str, ...]) -> dict[str, str]:
    """`("a=1", "b=x")` as a dict. Raises `UserError` where there is no `=`."""
    pairs = [text.partition("=") for text in texts]
    for text, (key, equals, _) in zip(texts, pairs, strict=True):
        if not equals or not key:
            raise UserError(f"--set {text!r}: write it as key=value")
    return {key.strip(): value.strip() for key, _, value in pairs}


def parse(text: str) -> Any:
    """A value as typed: JSON where it is JSON, else the text itself."""
    if text.lower() in ("none", "true", "false"):
        text = text.lower()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def convert(values: Mapping[str, Any], kind: type[Options], owner: str) -> Any:
    """Typed options from plain values; an unknown key names what `owner` does take."""
    return _typed(_known(dict(values), kind, ""), kind, owner)


def _known(values: Any, kind: type, where: str) -> Any:
    """Values by the names that keys have now. Raises `UserError` for one that `kind` does not have."""
    fields = kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else ()
    if isinstance(values, dict) and issubclass(kind, Options):
        values = {kind.formerly.get(key, key): value for key, value in values.items()}
    for key in values if isinstance(values, dict) else ():
        if key not in fields:
            raise unknown("option", f"{where}.{key}".lstrip("."), fields or ("none",))
    return values


def _typed(values: Any, kind: type, owner: str) -> Any:
    """What plain values mean. Raises `UserError` for an impossible one: whose it is, its name, what came and why."""
    fitted = _fitted(values, kind, "")
    try:
        return msgspec.convert(fitted, kind, strict=False)
    except msgspec.ValidationError as error:
        why, _, at = str(error).partition(" - at `$")
        place = at.rstrip("`").lstrip(".")
        came = _at(fitted, place)
        why = why[:1].lower() + why[1:]
        raise UserError(f"{owner}: {place} is {came!r}: {why}" if place else f"{owner}: {why}") from None


def _fitted(value: Any, kind: Any, where: str) -> Any:
    """What was typed, where its plain reading is not what the type means: "a,b" as a list, "none" as nothing.

    Raises:
        UserError: a word that is none of those there are, or a number that is not finite.
    """
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if isinstance(value, dict) and (choice := _kinds(kind)):
        value = {KIND: next(iter(choice)), **value}
        if value[KIND] not in choice:
            raise unknown(KIND, str(value[KIND]), choice)
        kind = choice[value[KIND]]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
        kinds = _hints(kind)
        return {name: _fitted(part, kinds.get(name, Any), f"{where}.{name}") for name, part in value.items()}
    words = _words(kind)
    if value == "none" and "none" not in words and kind is not str:
        value = [] if get_origin(kind) is tuple else None
    if isinstance(value, str) and get_origin(kind) is tuple:
        value = [word.strip() for word in value.split(",") if word.strip()]
    if isinstance(value, list | tuple) and get_origin(kind) is tuple:
        of = [part for part in get_args(kind) if part is not ...] or [Any]
        return [_fitted(part, of[min(i, len(of) - 1)], where) for i, part in enumerate(value)]
    name = where.lstrip(".")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{name} is {value}: a finite number is needed")
    if isinstance(value, str) and words and value not in words:
        raise unknown(name, value, words)
    return value


def _words(kind: Any) -> tuple[str, ...]:
    """The words that a place may have where nothing else is possible there, or none at all."""
    parts = get_args(kind) if get_origin(kind) is not Literal else (kind,)
    literals = [part for part in parts if get_origin(part) is Literal]
    others = [part for part in parts if get_origin(part) is not Literal and part is not type(None)]
    words = [word for part in literals for word in get_args(part)]
    return tuple(words) if not others and all(isinstance(word, str) for word in words) else ()


def _leaves(tree: Mapping[str, Any], prefix: str) -> list[str]:
    found: list[str] = []
    for key, value in tree.items():
        found.append(prefix + key)
        if isinstance(value, dict):
            found += _leaves(value, f"{prefix}{key}.")
    return found


def _resolve(key: str, raw: Mapping[str, Any], choices: Mapping[str, Kinds]) -> str:
    leaves = [*_leaves(raw["model"], "model."), *_leaves(raw["train"], "train.")]
    if key in leaves:
        return key
    matches = [leaf for leaf in leaves if leaf.endswith("." + key)]
    if not matches:
        _refuse_other_kind(key, raw, choices)
        raise unknown("option", key, {leaf.rsplit(".", 1)[-1] for leaf in leaves})
    if len(matches) > 1:
        raise UserError(f"option {key!r} could be any of {', '.join(matches)}: write the whole path")
    return matches[0]


def _refuse_other_kind(key: str, raw: Mapping[str, Any], choices: Mapping[str, Kinds]) -> None:
    """Raise `UserError` where `key` would be known if options were of another kind than they are."""
    for place, kinds in choices.items():
        name, there = place.rpartition(".")[2], _at(raw, place)[KIND]
        for kind, options in kinds.items():
            if any(f".{place}.{field}".endswith(f".{key}") for field in options.__struct_fields__):
                raise UserError(
                    f"option {key!r} is one of {name}={kind}, and here the {name} is {there}: "
                    f"put {name}={kind} before it, or leave it out"
                )


def _of_kind(kind: str, there: Mapping[str, Any], kinds: Kinds, place: str) -> Mapping[str, Any]:
    """The options that are there where they are of that kind, else the kind's defaults."""
    if kind not in kinds:
        raise unknown(place.rpartition(".")[2], kind, kinds)
    return there if there[KIND] == kind else to_dict(kinds[kind]())


def _at(tree: Any, path: str) -> Any:
    """What is at a path like `train.plan[0]`; all of it at the empty one."""
    for part in re.findall(r"[^.\[\]]+", path):
        tree = tree[int(part)] if isinstance(tree, list | tuple) else tree[part]
    return tree


def _kinds(hint: Any) -> Kinds:
    """The options that a place may have, where there is a choice, by the words that name them."""
    options = [part for part in get_args(hint) if isinstance(part, type) and issubclass(part, Options)]
    return {str(part.__struct_config__.tag): part for part in options} if len(options) > 1 else {}


def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)
