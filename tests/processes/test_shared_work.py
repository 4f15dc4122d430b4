"""Packing, measuring and sampling by two processes: each piece once, results those of one; and after a kill."""

from __future__ import annotations

import json
import shutil

import fragile
import numpy as np
import pytest
import torch
import verbs_job
from torchrun import run

import limner
from limner.api import Spec
from limner.errors import UserError
from limner.processes import Processes
from limner.tasks.sample import Request, Sampler


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What one process and what two have made of equal runs."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    threads = torch.get_num_threads()
    small = {"width": 16, "widest": 32, "batch": 16, "steps": 3, "limit": 300, "scores": 0}
    limner.train("digits", "vae", out=one / "run", tracker="none", quiet=True, precision="float32", **small)
    torch.set_num_threads(threads)
    shutil.copytree(one / "run", two / "run")
    code, _, error = run(verbs_job.__file__, two, two / "run", LIMNER_CACHE=str(two / "cache"))
    assert code == 0, error
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbs_job.pool, "help_with_parts", verbs_job.pool.help_with_parts)
        patch.setattr(verbs_job.pool, "WORTH_PROCESSES", verbs_job.pool.WORTH_PROCESSES)
        patch.setenv("LIMNER_CACHE", str(one / "cache"))
        verbs_job.work(one, one / "run")
    return one, two


@pytest.fixture(scope="module")
def said(places):
    """What each process had to say: the one alone, then the two."""
    one, two = places
    return [json.loads(path.read_text()) for path in (one / "rank-0.json", two / "rank-0.json", two / "rank-1.json")]


def test_every_part_is_packed_once(places, said):
    _, first, second = (set(one["parts"]) for one in said)
    assert first and second and not first & second
    assert sorted([*said[1]["parts"], *said[2]["parts"]]) == list(range(len(first | second)))
    assert len({one["pack"] for one in said}) == 1
    one, two = ({path.name: path.read_bytes() for path in (place / "pack").iterdir()} for place in places)
    assert set(one) == set(two)
    assert all(one[name] == two[name] for name in one if name.endswith((".raw", ".npy", ".arrow")))


def test_measures_are_those_of_one_process_and_all_know_them(said):
    alone, first, second = (one["measures"] for one in said)
    assert alone == first == second
    assert any("global batch of 16 on 1 process" in note for note in said[0]["notes"])
    assert said[1]["notes"] == said[2]["notes"] == said[0]["notes"]


def test_all_hold_the_pictures_of_one_process(said):
    assert len({one["pictures"] for one in said}) == 1


def test_a_batch_that_cannot_be_shared_is_refused_in_one_line():
    assert Processes(1, 2).slice(32) == (16, 16)
    with pytest.raises(UserError, match="a global batch of 33 cannot be shared by 2 processes: .* such as 34"):
        Processes(0, 2).slice(33)


def test_what_a_killed_call_has_painted_is_not_painted_again(tmp_path):
    spec = Spec(channels=1, height=8, width=8)
    sampler = Sampler(fragile.Fragile(fragile.FragileConfig(), spec), Request(n=22, seed=1, batch=4), {"run": "x"})

    def stop(done: int, total: int) -> None:
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sampler.write(npz=tmp_path / "broken.npz", progress=stop)
    assert not (tmp_path / "broken.npz").exists()
    assert sampler.write(npz=tmp_path / "broken.npz") == 10
    assert sampler.write(npz=tmp_path / "whole.npz") == 22
    assert np.array_equal(np.load(tmp_path / "broken.npz")["x"], np.load(tmp_path / "whole.npz")["x"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.npz", "whole.npz"]


def test_blocks_of_other_pictures_are_not_taken(tmp_path):
    spec = Spec(channels=1, height=8, width=8)
    model = fragile.Fragile(fragile.FragileConfig(), spec)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Sampler(model, Request(n=8, seed=1, batch=4)).write(npz=tmp_path / "a.npz", progress=stop)
    assert Sampler(model, Request(n=8, seed=2, batch=4)).write(npz=tmp_path / "a.npz") == 8
