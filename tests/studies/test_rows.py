"""Rows of a comparison: made once, whoever is at it, however often it is killed; failures are rows."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

import limner
from limner.studies.compare.plan import Row, Shard, named_rows
from limner.studies.compare.rows import Stopped, finish, outcomes, path_of, result_of, run_rows, unmade


def row(label, seed=0, kind="train", **changed):
    values = {
        "name": "",
        "label": label,
        "kind": kind,
        "source": label,
        "seed": seed,
        "data": "digits",
        "pack": "p",
        "n": 100,
    }
    return Row(**{**values, **changed})


@pytest.fixture
def rows():
    return named_rows([row(label, seed) for seed in range(2) for label in ("a", "b", "c")])


def count_calls(calls):
    def work(one):
        calls.append(one.name)
        return {"measured": len(calls)}

    return work


def test_names_are_one_for_each(rows):
    assert [one.name for one in rows] == ["a-s0", "b-s0", "c-s0", "a-s1", "b-s1", "c-s1"]
    given = named_rows([row("my set/x", kind="pictures"), row("my set/x", kind="pictures", source="elsewhere")])
    assert [one.name for one in given] == ["my-set-x", "my-set-x-2"]
    with pytest.raises(limner.UserError, match="a with seed 1 is asked for twice"):
        named_rows([row("a", 1), row("a", 1)])


def test_shards_share_out_all_rows(rows):
    parts = [Shard.parse(f"{i}/4").rows(rows) for i in (1, 2, 3, 4)]
    assert sorted(one.name for part in parts for one in part) == sorted(one.name for one in rows)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for wrong in ("0/2", "3/2", "2", "a/b", "1/0", ""):
        with pytest.raises(limner.UserError, match="impossible --shard"):
            Shard.parse(wrong)


def test_each_row_is_made_once(tmp_path, rows):
    calls: list[str] = []
    make = lambda one: finish(tmp_path, one, count_calls(calls))  # noqa: E731
    assert run_rows(tmp_path, rows, make, lambda text: None) == []
    assert run_rows(tmp_path, rows, make, lambda text: None) == []
    assert calls == [one.name for one in rows]
    assert finish(tmp_path, rows[0], count_calls(calls)) == "there" and len(calls) == 6
    assert [found["row"]["name"] for found in outcomes(tmp_path, rows)] == calls


def test_shards_and_then_all(tmp_path, rows):
    calls: list[str] = []
    make = lambda one: finish(tmp_path, one, count_calls(calls))  # noqa: E731
    run_rows(tmp_path, Shard(1, 2).rows(rows), make, lambda text: None)
    assert len(unmade(tmp_path, rows)) == 3
    run_rows(tmp_path, Shard(2, 2).rows(rows), make, lambda text: None)
    run_rows(tmp_path, rows, make, lambda text: None)
    assert sorted(calls) == sorted(one.name for one in rows)


def test_a_failure_is_a_row_that_says_why(tmp_path, rows):
    def work(one):
        if one.label == "b":
            raise ValueError("no such\nluck")
        if one.label == "c":
            raise limner.UserError("the picture is too small")
        return {"measured": 1}

    said: list[str] = []
    run_rows(tmp_path, rows, lambda one: finish(tmp_path, one, work), said.append)
    found = {one["row"]["name"]: one.get("failed") for one in outcomes(tmp_path, rows)}
    assert (
        found["a-s1"] is None
        and found["b-s0"] == "ValueError: no such luck"
        and found["c-s1"] == "the picture is too small"
    )
    assert "b-s0 failed: ValueError: no such luck" in said

    calls: list[str] = []
    run_rows(tmp_path, rows, lambda one: finish(tmp_path, one, count_calls(calls), again=True), said.append, again=True)
    assert calls == ["b-s0", "c-s0", "b-s1", "c-s1"]


def test_what_is_interrupted_is_gone_on_with(tmp_path, rows):
    for stop in (KeyboardInterrupt, Stopped):

        def work(one, stop=stop):
            raise stop

        with pytest.raises(stop):
            finish(tmp_path, rows[0], work)
        assert result_of(tmp_path, rows[0]) is None
    assert finish(tmp_path, rows[0], lambda one: {"measured": 1}) == "made"


def test_a_result_of_another_question_is_refused(tmp_path, rows):
    finish(tmp_path, rows[0], lambda one: {"measured": 1})
    with pytest.raises(limner.UserError, match=r"n 100 then, 200 now.*choose another --out"):
        result_of(tmp_path, msgspec.structs.replace(rows[0], n=200))


WORKER = """
import json, sys, time
from pathlib import Path
import msgspec
from limner.studies.compare.plan import Row
from limner.studies.compare.rows import finish
folder = Path(sys.argv[1])
def work(row):
    with (folder / "work.log").open("a") as file:
        file.write(f"{row.name}\\n")
    time.sleep(float(sys.argv[3]))
    return {"measured": 1}
print(finish(folder, msgspec.convert(json.loads(sys.argv[2]), Row), work), flush=True)
"""


def worker(folder, one, seconds):
    told = json.dumps(msgspec.to_builtins(one))
    package = str(Path(limner.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), told, str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": package},
    )


def test_two_processes_never_do_the_same_row_and_a_killed_one_leaves_it(tmp_path, rows):
    log = tmp_path / "work.log"
    first = worker(tmp_path, rows[0], 600)
    deadline = time.monotonic() + 120
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert finish(tmp_path, rows[0], lambda one: pytest.fail("two at one row")) == "busy"
    waiting = run_rows(tmp_path, rows[:1], lambda one: finish(tmp_path, one, lambda _: {}), lambda text: None)
    assert waiting == rows[:1] and not path_of(tmp_path, rows[0]).exists()
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert finish(tmp_path, rows[0], lambda one: {"measured": 2}) == "made"
    assert result_of(tmp_path, rows[0])["measured"] == 2
