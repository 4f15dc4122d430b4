"""Phases without an optimiser: models that look at the pictures and are then solved in closed form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file
from toys import CounterConfig, ToyFolder, ToyPack, config_of, counter, run

from limner import training
from limner.data.pixels import to_float
from limner.training import train
from limner.training.loop import Record, Trainer
from limner.training.plan import Plan


class Folder(ToyFolder):
    @property
    def config(self) -> Any:
        from limner import config
        from limner.api import Spec

        return config.load(self.path / "config.json", lambda name: (Spec, CounterConfig))


class Dies:
    def __init__(self, step: int) -> None:
        self.step = step

    def begin(self, trainer: Trainer) -> None: ...

    def after_step(self, trainer: Trainer, record: Record) -> None:
        if trainer.step == self.step:
            raise RuntimeError("died")

    def end(self, trainer: Trainer) -> None:
        if self.step == -1:
            raise RuntimeError("died")


def counted(folder: Path, *observers: Any, said: list[str] | None = None, **settings: Any) -> training.Outcome:
    folder.mkdir(exist_ok=True)
    config = msgspec.structs.replace(config_of(**settings), model=CounterConfig())
    say = (lambda text: None) if said is None else said.append
    return train(config, ToyPack(), Folder(folder), counter, observers=observers, quiet=True, say=say)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


# 32 pictures: 5 does not divide them, so batches straddle the passes and the last one holds pictures of a third.
@pytest.mark.parametrize("length", [{"steps": None, "budget": 500.0}, {"steps": 900}, {"steps": None, "epochs": 2.0}])
def test_ends_when_all_is_seen_whatever_was_asked(tmp_path: Path, length: dict[str, Any]) -> None:
    said: list[str] = []
    outcome = counted(tmp_path / "run", said=said, batch=5, **length)
    assert outcome.finished and outcome.step == 13 and "every picture was looked at" in outcome.reason
    assert any("looked at twice, in 13 steps" in line for line in said) == ("epochs" not in length)
    state = load_file(tmp_path / "run" / "model.safetensors")
    pack = ToyPack()
    assert float(state["count"]) == 2 * len(pack.train) and state["total"].numel() == 0
    torch.testing.assert_close(state["mean"], to_float(pack.read(pack.train)).mean(0))


def test_fewer_steps_are_taken_as_asked(tmp_path: Path) -> None:
    outcome = counted(tmp_path / "run", batch=4, steps=3)
    assert outcome.step == 3 and outcome.reason == "the plan's end was reached"
    assert float(load_file(tmp_path / "run" / "model.safetensors")["count"]) == 12


def test_a_budget_that_is_too_short_ends_it(tmp_path: Path) -> None:
    config = {"batch": 1, "steps": None, "budget": 1e-6, "checkpoint_every": 0}
    outcome = counted(tmp_path / "run", **config)
    assert outcome.finished and outcome.step < 64


@pytest.mark.parametrize("step", [1, 6, 7, 13, -1])
def test_killed_at_any_moment_it_comes_to_the_same(tmp_path: Path, step: int) -> None:
    """Step 13 is the last one; -1 dies between the solution and the last checkpoint."""
    counted(tmp_path / "whole", batch=5)
    with pytest.raises(RuntimeError, match="died"):
        counted(tmp_path / "broken", Dies(step), batch=5)
    assert counted(tmp_path / "broken", batch=5).finished
    assert weights(tmp_path / "whole") == weights(tmp_path / "broken")


def test_more_steps_change_nothing(tmp_path: Path) -> None:
    counted(tmp_path / "run", batch=5)
    before = weights(tmp_path / "run")
    training.extend(Folder(tmp_path / "run"), steps=10)
    assert counted(tmp_path / "run", batch=5).step == 23
    assert weights(tmp_path / "run") == before


def test_nothing_is_measured_and_the_cost_is_said(tmp_path: Path) -> None:
    config = msgspec.structs.replace(config_of(batch=5, steps=None, budget=500.0), model=CounterConfig())
    said: list[str] = []
    cost = training.estimate(config, ToyPack(), counter, said.append)
    assert cost["steps"] == 13 and cost["seconds"] < 20 and cost["precision"] == "float32"
    assert not any("measuring" in line for line in said)


def test_steps_and_budget_together_end_with_the_first(tmp_path: Path) -> None:
    outcome = run(tmp_path / "run", config_of(steps=40, budget=60.0))
    assert outcome.step == 40
    assert Plan.read(tmp_path / "run" / "journal.jsonl").entries[-1].total == 40
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"
