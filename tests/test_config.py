"""Configs: typed, frozen, overridden by name, refused in one line."""

from __future__ import annotations

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


class Spec(Options):
    """A small spec."""

    height: int = 4


def typing(name: str) -> tuple[type, type]:
    return Spec, Model


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
        ({"width": "wide"}, "Expected `int`"),
        ({"precision": "float8"}, "Invalid enum value 'float8'"),
    ],
)
def test_refusals(base: Config, assignments: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        config.override(base, assignments, typing)
    assert "\n" not in str(caught.value)


def test_unknown_keys_in_files_name_the_nearest(base: Config) -> None:
    raw = config.to_dict(base)
    raw["model"]["widht"] = 3
    with pytest.raises(UserError, match="did you mean 'width'"):
        config.from_dict(raw, typing)


def test_assignments() -> None:
    assert config.assignments_of(("a=1", "b = x=y")) == {"a": "1", "b": "x=y"}
    with pytest.raises(UserError, match="key=value"):
        config.assignments_of(("a",))
