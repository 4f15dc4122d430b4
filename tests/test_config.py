"""Configs: typed, frozen, overridden by name, refused in one line."""

from __future__ import annotations

from typing import Literal

import pytest

from limner import config
from limner.config import Config, Options, Training
from limner.errors import UserError


class Model(Options):
    """A small model config."""

    width: config.Positive = 8
    batch: int = 3
    loss: str = "hinge"
    sizes: tuple[int, ...] = (1, 2)


class Round(Options, tag_field="kind", tag="round"):
    """One kind of part."""

    radius: float = 1.0
    holes: int = 0


class Square(Options, tag_field="kind", tag="square"):
    """The other."""

    side: config.Positive = 2
    sides: tuple[int, ...] = ()
    holes: int = 4


class Built(Options):
    """A model config with a part of either kind."""

    formerly = {"breadth": "width"}

    part: Round | Square = Round()
    width: int = 8


class Spec(Options):
    """A small spec."""

    height: int = 4


def typing(name: str) -> tuple[type, type]:
    return Spec, Model


def typing_built(name: str) -> tuple[type, type]:
    return Spec, Built


@pytest.fixture
def built() -> Config:
    return Config(recipe="r", family="f", spec=Spec(), model=Built(part=Round(radius=3.0)), train=Training())


@pytest.fixture
def base() -> Config:
    return Config(recipe="r", family="f", spec=Spec(), model=Model(), train=Training(batch=16))


def test_round_trip(base: Config, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "config.json"
    path.write_text(config.dumps(base))
    assert config.load(path, typing) == base


def test_override_by_last_part_and_by_path(base: Config) -> None:
    wanted = {"width": "32", "train.batch": "4", "sizes": "[3,4]", "loss": "wasserstein"}
    changed = config.override(base, wanted, typing)
    assert changed.model == Model(width=32, sizes=(3, 4), loss="wasserstein") and changed.train.batch == 4
    assert config.override(base, {"flip": "0.5"}, typing).train.augment.flip == 0.5
    assert config.override(base, {"steps": "none"}, typing).train.steps is None
    assert config.override(base, {"sizes": "5, 6"}, typing).model.sizes == (5, 6)
    assert config.override(base, {"sizes": "none"}, typing).model.sizes == ()
    assert config.override(base, {"loss": "none"}, typing).model.loss == "none"


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        ({"widht": "3"}, "did you mean 'width'"),
        ({"batch": "3"}, "could be any of model.batch, train.batch"),
        ({"width": "0"}, ">= 1"),
        ({"width": "wide"}, "width is 'wide': expected `int`"),
        ({"precision": "float8"}, "unknown train.precision 'float8' - did you mean 'float64'"),
        ({"budget": "Infinity"}, "train.budget is inf: a finite number is needed"),
        ({"budget": "NaN"}, "train.budget is nan: a finite number is needed"),
        ({"model": "3"}, "unknown option 'model'"),
        ({"sizes": "1,x"}, r"sizes\[1\] is 'x': expected `int`"),
    ],
)
def test_refusals(base: Config, assignments: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        config.override(base, assignments, typing)
    assert "\n" not in str(caught.value)


def test_none_is_the_word_where_there_is_one_and_nothing_elsewhere() -> None:
    class Choice(Options):
        norm: Literal["batch", "none"] | None = None
        rate: float | None = 1.0
        changes: tuple[str, ...] = ("a",)
        name: str = "x"

    def found(**given: object) -> object:
        return config.convert({key: config.parse(str(value)) for key, value in given.items()}, Choice, "choice")

    assert found(norm="none", rate="none", changes="none", name="none") == Choice(
        norm="none", rate=None, changes=(), name="none"
    )
    assert found(norm="null") == Choice(norm=None)
    assert config.convert(config.to_dict(Choice()), Choice, "choice") == Choice(), "what is saved stays what it was"


def test_unknown_keys_in_files_name_the_nearest(base: Config) -> None:
    raw = config.to_dict(base)
    raw["model"]["widht"] = 3
    with pytest.raises(UserError, match="did you mean 'width'"):
        config.from_dict(raw, typing)


def test_assignments() -> None:
    assert config.assignments_of(("a=1", "b = x=y")) == {"a": "1", "b": "x=y"}
    with pytest.raises(UserError, match="key=value"):
        config.assignments_of(("a",))


def test_a_part_of_several_kinds_survives_json(built: Config, tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "config.json"
    for wanted in ({}, {"part": "square", "sides": "1,2"}):
        changed = config.override(built, wanted, typing_built)
        path.write_text(config.dumps(changed))
        assert config.load(path, typing_built) == changed


def test_options_of_the_kind_that_is_there(built: Config) -> None:
    changed = config.override(built, {"part.radius": "2", "holes": "1"}, typing_built)
    assert changed.model == Built(part=Round(radius=2.0, holes=1))


def test_another_kind_brings_its_defaults_and_then_its_options(built: Config) -> None:
    def model(**assignments: str) -> Built:
        return config.override(built, {key.replace("__", "."): v for key, v in assignments.items()}, typing_built).model

    assert model(part="square") == model(part__kind="square") == model(kind="square") == Built(part=Square())
    assert model(part="square", part__side="5", sides="1,2", holes="0") == Built(
        part=Square(side=5, sides=(1, 2), holes=0)
    )
    assert model(part__holes="3", part="square") == Built(part=Square()), "what was said of the other kind goes with it"
    assert model(part="round") == built.model, "the kind that is there already stays as it is"
    assert model(part='{"kind": "square", "side": 7}') == Built(part=Square(side=7))


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        ({"part": "sqare"}, r"unknown part 'sqare' - did you mean 'square'\? \(known: round, square\)"),
        ({"part.kind": "oval"}, "unknown part 'oval'"),
        ({"part": '{"kind": "oval"}'}, "unknown kind 'oval'"),
        ({"part.side": "3"}, "'part.side' is one of part=square, and here the part is round: put part=square before"),
        ({"side": "3", "part": "square"}, "'side' is one of part=square"),
        ({"part": "square", "radius": "3"}, "'radius' is one of part=round"),
        ({"part.sid": "3"}, "unknown option 'part.sid'"),
        ({"part": "square", "side": "0"}, ">= 1"),
    ],
)
def test_refusals_of_kinds(built: Config, assignments: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        config.override(built, assignments, typing_built)
    assert "\n" not in str(caught.value)


def test_keys_of_older_runs_are_understood(built: Config) -> None:
    raw = config.to_dict(built)
    raw["model"]["breadth"] = raw["model"].pop("width") + 1
    assert config.from_dict(raw, typing_built).model.width == built.model.width + 1
    assert "formerly" not in config.to_dict(built)["model"]


def test_configs_that_name_no_kind_are_of_the_first(built: Config) -> None:
    raw = config.to_dict(built)
    del raw["model"]["part"]["kind"]
    assert config.from_dict(raw, typing_built) == built
