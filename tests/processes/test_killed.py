"""One of two processes is killed: the other stops and says why; a restart or one process goes on; nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torchrun import run

import limner

RECIPE = f"{Path(__file__).with_name('fragile.py')}:recipe"
HOW = {"steps": 40, "limit": 300, "batch": 16, "precision": "float64", "seed": 3}


def train(out, *arguments, **how):
    """The two processes' training of `out`."""
    given = [text for key, value in HOW.items() for text in (f"--{key}", str(value))]
    given += ["--set", "checkpoint_every=10", "--tracker", "none", "--out", out]
    return run("-m", "limner", "train", "digits", "--model", RECIPE, *given, *arguments, **how)


def weights(run):
    return load_file(run / "model.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The weights of one process that nobody disturbs."""
    threads = torch.get_num_threads()
    out = tmp_path_factory.mktemp("whole") / "run"
    limner.train("digits", RECIPE, out=out, checkpoint_every=10, tracker="none", quiet=True, **HOW)
    torch.set_num_threads(threads)
    return weights(out)


def assert_equal(found, expected):
    assert all(torch.allclose(found[key].double(), expected[key].double(), atol=1e-7) for key in expected)


def test_the_others_stop_and_one_process_goes_on(tmp_path, whole):
    out = tmp_path / "run"
    code, _, error = train(out, FRAGILE="1:25")
    assert code != 0
    assert "limn: error: another process has ended" in error and "--resume" in error
    assert limner.open(out).status["state"] == "failed"
    threads = torch.get_num_threads()
    again = limner.train(out=out, resume=True, tracker="none", quiet=True)
    torch.set_num_threads(threads)
    assert again.status["state"] == "finished" and again.status["step"] == 40
    assert_equal(weights(out), whole)
    assert "| global batch | 16 on 1 process, 2 at first |" in (out / "README.md").read_text()


def test_torchrun_restarts_and_loses_nothing(tmp_path, whole):
    out = tmp_path / "run"
    code, said, error = train(out, restarts=1, FRAGILE="1:25")
    assert code == 0, error
    assert "resuming at step 20" in error
    assert said.count("finished at step 40") == 1
    assert limner.open(out).status["processes"] == 2
    assert_equal(weights(out), whole)
