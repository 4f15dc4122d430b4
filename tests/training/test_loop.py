"""The loop: exact repetition, resumption, roll-back, budgets, interruption."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from toys import ToyFolder, build, config_of, run, score

from limner.errors import UserError
from limner.training import extend
from limner.training.loop import Record, Trainer
from limner.training.plan import Plan

KINDS = ("one", "two", "stages")
TIMING = {"seconds", "pictures_per_second", "memory"}


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def metrics(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMING} for line in lines]


class StopAt:
    """Asks for a stop, or dies, after a step."""

    def __init__(self, step: int, die: bool = False) -> None:
        self.step, self.die = step, die

    def begin(self, trainer: Trainer) -> None: ...

    def end(self, trainer: Trainer) -> None: ...

    def after_step(self, trainer: Trainer, record: Record) -> None:
        if trainer.step == self.step:
            if self.die:
                raise RuntimeError("died")
            trainer.stop = "asked"


@pytest.mark.parametrize("kind", KINDS)
def test_same_config_same_bits(kind: str, tmp_path: Path) -> None:
    for name in "ab":
        assert run(tmp_path / name, config_of(kind), score=score).finished
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    run(tmp_path / "c", config_of(kind, seed=1), score=score)
    assert weights(tmp_path / "a") != weights(tmp_path / "c")


@pytest.mark.parametrize("kind", KINDS)
def test_two_crashes_change_nothing(kind: str, tmp_path: Path) -> None:
    run(tmp_path / "whole", config_of(kind), score=score)
    for step in (11, 24):
        with pytest.raises(RuntimeError, match="died"):
            run(tmp_path / "broken", config_of(kind), score=score, observers=(StopAt(step, die=True),))
    outcome = run(tmp_path / "broken", config_of(kind), score=score)
    assert outcome.finished and outcome.step == 30
    assert weights(tmp_path / "whole") == weights(tmp_path / "broken")
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "broken")


def test_stop_and_resume(tmp_path: Path) -> None:
    run(tmp_path / "whole", config_of())
    stopped = run(tmp_path / "run", config_of(), observers=(StopAt(12),))
    assert not stopped.finished and stopped.step == 12 and stopped.reason == "asked"
    assert run(tmp_path / "run", config_of()).finished
    assert weights(tmp_path / "whole") == weights(tmp_path / "run")


def test_a_finished_run_says_so(tmp_path: Path) -> None:
    run(tmp_path / "run", config_of())
    before = weights(tmp_path / "run")
    again = run(tmp_path / "run", config_of(), observers=(StopAt(1, die=True),))
    assert again.finished and weights(tmp_path / "run") == before


def test_damaged_newest_checkpoint_is_named_and_passed_over(tmp_path: Path) -> None:
    run(tmp_path / "whole", config_of())
    with pytest.raises(RuntimeError):
        run(tmp_path / "run", config_of(), observers=(StopAt(25, die=True),))
    state = tmp_path / "run" / "checkpoints" / "step-00000021" / "state.safetensors"
    content = bytearray(state.read_bytes())
    content[-3] ^= 4
    state.write_bytes(content)
    said: list[str] = []
    run(tmp_path / "run", config_of(), say=said.append)
    assert any("step-00000021 is damaged" in line for line in said)
    assert weights(tmp_path / "whole") == weights(tmp_path / "run")


def test_accumulation_gives_the_same_gradients(tmp_path: Path) -> None:
    for parts in (1, 4):
        config = config_of("two", accumulate=parts, precision="float64", steps=5)
        run(tmp_path / str(parts), config)
    models = [ToyFolder(tmp_path / p) for p in "14"]
    states = [_state(m) for m in models]
    for name in states[0]:
        np.testing.assert_allclose(states[0][name], states[1][name], atol=1e-9, err_msg=name)


def test_not_finite_is_rolled_back_and_given_up_in_the_end(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(UserError, match=r"diverged 4 times.*pictures \["):
        run(tmp_path / "run", config_of(poison=9), say=said.append)
    assert sum("half the learning rate" in line for line in said) == 3
    assert all(np.isfinite(value).all() for value in _state(ToyFolder(tmp_path / "run")).values())
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "failed"


def test_budget_ends_in_time_and_its_plan_can_be_repeated(tmp_path: Path) -> None:
    config = config_of(steps=None, budget=3.0)
    began = time.monotonic()
    outcome = run(tmp_path / "run", config)
    assert outcome.finished and time.monotonic() - began < 3 + 5
    entries = Plan.read(tmp_path / "run" / "journal.jsonl").entries
    assert len(entries) > 3
    plan = tuple((e.step, e.total, e.fraction) for e in entries)
    run(tmp_path / "again", config_of(steps=None, budget=3.0, plan=plan))
    assert weights(tmp_path / "run") == weights(tmp_path / "again")


def test_fractions_never_fall_and_end_at_one() -> None:
    plan = Plan(None)
    plan.decide(0, 100)
    plan.decide(30, 60)
    plan.decide(50, 200)
    plan.decide(150, 155)
    fractions = [plan.fraction(step) for step in range(156)]
    assert fractions == sorted(fractions) and fractions[0] == 0.0 and fractions[-1] == 1.0


def test_extension_goes_on_from_the_share_done(tmp_path: Path) -> None:
    run(tmp_path / "run", config_of())
    before = weights(tmp_path / "run")
    extend(ToyFolder(tmp_path / "run"), steps=30)
    assert Plan.read(tmp_path / "run" / "journal.jsonl").fraction(30) == pytest.approx(0.5)
    outcome = run(tmp_path / "run", config_of())
    assert outcome.finished and outcome.step == 60 and weights(tmp_path / "run") != before


def test_best_weights_are_kept(tmp_path: Path) -> None:
    values = iter([0.5, 0.1, 0.4, 0.3])
    outcome = run(tmp_path / "run", config_of(steps=400), score=lambda pictures: {"fd": next(values)})
    assert outcome.score == 0.1
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["best_step"] == 200 and "after step 200" in (tmp_path / "run" / "README.md").read_text()


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from limner.training import checkpoint

    real, count = checkpoint.save_file, iter(range(100))

    def full(*arguments: object) -> None:
        if next(count) >= 2:
            raise OSError(28, "No space left on device")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(UserError, match="the disk is full"):
        run(tmp_path / "run", config_of())
    monkeypatch.undo()
    assert not list((tmp_path / "run").rglob("*.partial"))
    run(tmp_path / "whole", config_of())
    assert run(tmp_path / "run", config_of()).finished
    assert weights(tmp_path / "whole") == weights(tmp_path / "run")


SCRIPT = """
import sys, pathlib
sys.path.insert(0, sys.argv[1])
from toys import run, config_of, score
run(pathlib.Path(sys.argv[2]), config_of(sys.argv[3], steps=400, checkpoint_every=50), score=score)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_kill_9_twice(kind: str, tmp_path: Path) -> None:
    def start(folder: Path) -> subprocess.Popen[bytes]:
        here = str(Path(__file__).parent)
        return subprocess.Popen([sys.executable, "-c", SCRIPT, here, str(folder), kind])

    assert start(tmp_path / "whole").wait() == 0
    for step in (100, 250):
        process = start(tmp_path / "killed")
        marker = tmp_path / "killed" / "checkpoints" / f"step-{step:08d}"
        while process.poll() is None and not marker.exists():
            time.sleep(0.002)
        process.kill()
        process.wait()
    assert start(tmp_path / "killed").wait() == 0
    assert weights(tmp_path / "whole") == weights(tmp_path / "killed")
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "killed")


def test_sigterm_saves_and_leaves_cleanly(tmp_path: Path) -> None:
    class Signal(StopAt):
        def after_step(self, trainer: Trainer, record: Record) -> None:
            if trainer.step == self.step:
                os.kill(os.getpid(), signal.SIGTERM)

    outcome = run(tmp_path / "run", config_of(), observers=(Signal(10),))
    assert outcome.reason == "interrupted by SIGTERM" and outcome.step in (10, 11)
    assert (tmp_path / "run" / "checkpoints" / f"step-{outcome.step:08d}").is_dir()


def test_a_killed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    run(tmp_path / "run", config_of(steps=10))
    leftover = tmp_path / "run" / ".model.safetensors.1.partial"
    leftover.write_bytes(b"half")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-00000010")
    (tmp_path / "run" / "status.json").unlink()
    assert run(tmp_path / "run", config_of(steps=10)).finished
    assert not leftover.exists()


def _state(folder: ToyFolder) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    assert build(folder.config) is not None
    return dict(load_file(folder / "model.safetensors"))
