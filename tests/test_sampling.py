"""Sampling: picture i is a function of (weights, seed, i, label, options), however it is asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import tiny
from limner.api import Attribute, Generator, Spec
from limner.config import Options
from limner.errors import UserError
from limner.pictures import Pictures
from limner.tasks.sample import Request, Sampler, labels_of

SPEC = Spec(
    channels=3,
    height=6,
    width=10,
    attributes=(Attribute("animal", ("cat", "dog", "owl")), Attribute("colour", ("red", "blue"))),
)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return tiny.Tiny(tiny.TinyConfig(), SPEC).eval()


class Plain(Generator):
    """Knows no labels and takes no options."""

    Config = Options

    def __init__(self, spec):
        super().__init__()
        self.spec, self.scale = spec, nn.Parameter(torch.ones(()))

    def stages(self):
        return ()

    def paint(self, draws, condition, options):
        yield self.scale * draws.normal("x", *self.spec.shape).clamp(-1, 1)


def ask(model, **request):
    return Sampler(model, Request(**request), {"recipe": "tiny", "run": "t", "weights": "w"})


def apart(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max()


def test_a_picture_does_not_change_with_the_batch(model):
    whole = ask(model, n=20, seed=3).all().pixels
    assert len(np.unique(whole.reshape(20, -1), axis=0)) == 20
    for batch in (1, 3, 7):
        assert apart(whole, ask(model, n=20, seed=3, batch=batch).all().pixels) <= 1
    assert apart(whole[:5], ask(model, n=5, seed=3).all().pixels) <= 1
    assert apart(whole, ask(model, n=20, seed=4).all().pixels) > 30


def test_a_chunk_makes_pictures_equal_to_the_bit(model):
    whole = ask(model, n=20, seed=3, chunk=8, label="all").all().pixels
    assert (ask(model, n=7, seed=3, chunk=8, label="all").all().pixels == whole[:7]).all()
    blocks = list(ask(model, n=20, seed=3, chunk=8, label="all").blocks([13, 2, 3]))
    assert (np.concatenate([block.pixels for block in blocks]) == whole[[13, 2, 3]]).all()


def test_precision(model):
    exact = ask(model, n=6, precision="float64").all().pixels
    assert next(model.parameters()).dtype == torch.float32, "the caller's model is left alone"
    assert apart(exact, ask(model, n=6).all().pixels) <= 1
    rough = ask(model, n=6, precision="bfloat16").all().pixels
    assert 0 < apart(exact, rough) < 16
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize(
    ("asked", "first", "second"),
    [
        ("dog", [1, -1], [1, -1]),
        ("2", [2, -1], [2, -1]),
        (0, [0, -1], [0, -1]),
        ("all", [0, -1], [1, -1]),
        (["owl", 0], [2, -1], [0, -1]),
        ("colour=blue", [-1, 1], [-1, 1]),
        ("animal=owl, colour=red", [2, 0], [2, 0]),
    ],
)
def test_labels(asked, first, second):
    rows = labels_of(SPEC, asked, 5)
    assert rows.shape == (5, 2) and rows.dtype == np.int64
    assert rows[0].tolist() == first and rows[1].tolist() == second


def test_a_class_named_by_a_number_wins_over_its_place():
    spec = Spec(channels=1, height=2, width=2, attributes=(Attribute("year", ("2", "1", "0")),))
    assert labels_of(spec, "0", 1).tolist() == [[2]]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("dgo", "did you mean 'dog'"),
        ("3", "unknown label '3'"),
        ("-1", "unknown label"),
        (7, "unknown label"),
        ("color=red", "did you mean 'colour'"),
        ("colour=green", "known: blue, red"),
        ([], "no label"),
    ],
)
def test_wrong_labels(asked, said):
    with pytest.raises(UserError, match=said):
        labels_of(SPEC, asked, 4)


FACES = Spec(
    channels=1,
    height=6,
    width=10,
    attributes=(Attribute("hair", ("red", "black")), Attribute("age", range=(20.0, 60.0))),
)
AGE = Spec(channels=1, height=6, width=10, attributes=FACES.attributes[1:])


@pytest.mark.parametrize(
    ("spec", "asked", "rows"),
    [
        (FACES, "age=30", [[-1, 2500]]),
        (FACES, "hair=black, age=60", [[1, 10000]]),
        (FACES, {"hair": "red", "age": 20}, [[0, 0]]),
        (FACES, [{"age": 37.5}, "black"], [[-1, 4375], [1, -1]]),
        (AGE, "40", [[5000]]),
        (AGE, 50, [[7500]]),
        (AGE, "all", [[0], [1429], [2857], [4286], [5714], [7143], [8571], [10000]]),
    ],
)
def test_numbers_are_asked_for(spec, asked, rows):
    assert labels_of(spec, asked, len(rows)).tolist() == rows


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("age=61", "age 61 was never seen: ask for 20 to 60"),
        ("age=nan", "age nan was never seen"),
        ("age=old", "age 'old' is no number"),
        ({"ago": 30}, "did you mean 'age'"),
    ],
)
def test_wrong_numbers(asked, said):
    with pytest.raises(UserError, match=said):
        labels_of(FACES, asked, 1)


def test_numbers_are_told():
    made = Pictures(
        np.zeros((2, 6, 10, 1), np.uint8), [0, 1], np.array([[1, 4375], [-1, -1]]), [a.names for a in FACES.attributes]
    )
    assert made.label(0) == "black, age=37.5" and made.label(1) is None


def test_labels_change_the_picture_and_are_told(model):
    pictures = ask(model, n=6, label="all").all()
    assert [pictures.label(i) for i in range(4)] == ["cat", "dog", "owl", "cat"]
    assert (ask(model, n=6, label="cat").all().pixels[0] == pictures.pixels[0]).all()
    assert apart(ask(model, n=6, label="dog").all().pixels[0], pictures.pixels[0]) > 5


def test_labels_of_a_model_without_any():
    bare = tiny.Tiny(tiny.TinyConfig(), Spec(channels=1, height=4, width=4))
    with pytest.raises(UserError, match="trained without labels"):
        ask(bare, label="cat")
    with pytest.raises(UserError, match="Plain cannot be asked by label; models that can: here, there"):
        Sampler(Plain(SPEC), Request(label="cat"), {}, ["there", "here"])


def test_options_that_a_model_does_not_take(model):
    with pytest.raises(UserError, match=r"unknown option of tiny 'steps'.*known: temperature"):
        ask(model, options={"steps": 5})
    with pytest.raises(UserError, match=r"'steps' \(known: none\)"):
        Sampler(Plain(SPEC), Request(options={"steps": 5}))
    with pytest.raises(UserError, match="temperature"):
        ask(model, options={"temperature": -1})
    assert ask(model, options={"steps": None}).options.temperature == 1.0, "None is not asked for"


def test_options_reach_the_model(model):
    spread = [ask(model, n=16, options={"temperature": t}).all().pixels.std(0).mean() for t in (0.1, 1.0)]
    assert spread[0] < 0.5 * spread[1]


def test_the_digest_covers_what_pictures_are_a_function_of(model):
    def digest(run="t", weights="w", **request):
        return Sampler(model, Request(**request), {"run": run, "weights": weights}).digest

    same = {digest(), digest(n=99), digest(batch=3), digest(run="moved"), digest(options={"temperature": 1.0})}
    others = [
        digest(seed=1),
        digest(label="dog"),
        digest(weights="v"),
        digest(options={"temperature": 0.5}),
        digest(chunk=8),
    ]
    assert len(same) == 1 and len({*same, *others}) == 6


def test_writing_goes_on_where_it_stopped(model, tmp_path):
    out = tmp_path / "out"
    assert ask(model, n=10, seed=1, label="all").write(folder=out) == 10
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    for gone in ("000002.png", "000007.png"):
        (out / gone).unlink()
    assert ask(model, n=10, seed=1, label="all", batch=1, chunk=0).write(folder=out) == 2
    again = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(again) == set(whole)
    assert apart(np.asarray(Image.open(out / "000007.png")), ask(model, n=10, seed=1, label="all").all().pixels[7]) <= 1
    assert ask(model, n=10, seed=1, label="all").write(folder=out) == 0
    assert ask(model, n=12, seed=1, label="all").write(folder=out) == 2
    with pytest.raises(UserError, match="another model, seed or options"):
        ask(model, n=10, seed=1, label="dog").write(folder=out)


def test_an_interrupted_writing_leaves_whole_files(model, tmp_path):
    def stop(done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(model, n=10, batch=2).write(folder=tmp_path / "a", npz=tmp_path / "a.npz", progress=stop)
    assert not (tmp_path / "a.npz").exists()
    assert len([Image.open(path).load() for path in (tmp_path / "a").glob("*.png")]) == 4


def test_all_outputs_show_the_same_pictures(model, tmp_path):
    sampler = ask(model, n=10, seed=2, label="all", batch=4)
    assert sampler.write(tmp_path / "a", tmp_path / "a.png", tmp_path / "a.npz") == 10
    pictures = ask(model, n=10, seed=2, label="all", batch=4).all()
    with np.load(tmp_path / "a.npz") as found:
        assert (found["x"] == pictures.pixels).all() and found["y"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert (np.asarray(Image.open(tmp_path / "a.png")) == np.asarray(pictures.grid())).all()
    assert all((np.asarray(Image.open(tmp_path / "a" / f"{i:06d}.png")) == pictures.pixels[i]).all() for i in range(10))


def test_progress_is_told(model):
    told: list[tuple[int, int]] = []
    ask(model, n=10, batch=4).all(lambda done, total: told.append((done, total)))
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_the_example_is_one_file():
    """The generator that these tests use imports nothing of them: it is what a person would write."""
    assert "tests" not in Path(tiny.__file__).read_text()
