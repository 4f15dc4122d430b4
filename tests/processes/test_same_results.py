"""Two processes do what one does: every recipe's steps, its first gradients, and pictures."""

from __future__ import annotations

from pathlib import Path

import job
import numpy as np
import pytest
from safetensors.torch import load_file
from torchrun import run

from limner.processes import Processes


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """What one process and what two have made."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    code, _, error = run(job.__file__, two)
    assert code == 0, error
    job.work(one, Processes())
    return one, two


def both(places, name):
    return (load_file(place / f"{name}.safetensors") for place in places)


@pytest.mark.parametrize("name", job.ALL)
def test_weights_are_those_of_one_process(places, name):
    one, two = both(places, f"{name}.weights")
    assert set(one) == set(two)
    apart = {key: float((one[key].double() - two[key].double()).abs().max()) for key in one if one[key].numel()}
    assert max(apart.values()) < 1e-8, apart


@pytest.mark.parametrize("name", job.ALL)
def test_first_gradients_are_those_of_one_process(places, name):
    one, two = both(places, f"{name}.gradients")
    assert set(one) == set(two)
    for phase in one:
        assert float((one[phase] - two[phase]).norm()) <= 1e-4 * float(one[phase].norm()), phase


def test_pictures_are_those_of_one_process(places):
    one, two = (
        {path.relative_to(place): path.read_bytes() for path in sorted((place / "pictures").glob("*"))}
        for place in places
    )
    assert len(one) > 21
    assert one == two
    arrays = [np.load(place / "pictures.npz") for place in places]
    assert all(np.array_equal(arrays[0][key], arrays[1][key]) for key in ("x", "y"))
    assert len({(place / "sheet.png").read_bytes() for place in places}) == 1


def test_the_first_process_alone_writes(places):
    assert not [path for place in places for path in place.glob("rank*")]


def test_nothing_is_left_over(places):
    hidden = {path.name for place in places for path in place.rglob(".*")}
    assert hidden == {".limner.json"}


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not list a process's threads")
def test_no_thread_of_the_group_outlives_it(places):
    """A native thread that asks for an interpreter which has ended takes the whole process down."""
    found = [path.read_text().splitlines() for path in places[1].glob("threads *.txt")]
    assert len(found) == 2
    assert not [name for names in found for name in names if "gloo" in name]


def test_all_stop_where_one_is_asked_to(places):
    assert [(place / "asked.txt").read_text() for place in places] == ["4 interrupted by SIGTERM"] * 2


def test_all_go_back_where_one_has_no_number(places):
    one, two = (load_file(place / "poisoned.safetensors") for place in places)
    assert [int(found.pop("tries")) for found in (one, two)] == [1, 1]
    assert all(np.allclose(one[key], two[key], atol=1e-8) for key in one)
