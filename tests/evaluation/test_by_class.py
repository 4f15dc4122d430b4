"""Each class by itself: the worst is named, floors are of as many pictures, too few are refused in words."""

import json

import numpy as np
import pytest
from PIL import Image
from spoiling import blurred

from limner.data import DataOptions, pack
from limner.errors import UserError
from limner.evaluation import evaluate, load
from limner.evaluation.by_class import FEWEST, evaluate_classes, real_classes
from limner.evaluation.classes import ByClass
from limner.evaluation.reference import shuffled
from limner.evaluation.samples import open_labelled

N = 360


@pytest.fixture(scope="module")
def coloured(tmp_path_factory):
    """Three classes: two of drawn scenes that differ in colour, and one with few pictures."""
    scenes = pack("shapes", DataOptions(size=16, limit=1200))
    pictures = scenes.read(shuffled(np.arange(len(scenes)), 0, "classes"))
    folder = tmp_path_factory.mktemp("coloured")
    for number, picture in enumerate(pictures):
        name = "rare" if number % 20 == 0 else "blue" if number % 2 else "red"
        place = folder / ("test" if number % 5 < 2 else "train") / name
        place.mkdir(parents=True, exist_ok=True)
        shifted = picture[..., ::-1] if name == "red" else picture
        Image.fromarray(np.ascontiguousarray(shifted)).save(place / f"{number}.png")
    return pack(folder, DataOptions())


def labelled(packed, path, spoilt=(), count=120):
    """An .npz of training pictures with their classes, some of them blurred."""
    labels = packed.labels(packed.train)
    chosen = np.concatenate([packed.train[labels == code][-count:] for code in range(len(packed.classes))])
    x, y = packed.read(chosen), packed.labels(chosen)
    for code in spoilt:
        x[y == code] = blurred(x[y == code], 2)
    np.savez(path, x=x, y=y)
    return path


def measured(path, packed):
    real = real_classes(packed, "held-out", N, 0)
    return evaluate_classes(open_labelled(path, (16, 16), real.names), real, packed, load(), "held-out")


def test_the_worst_class_is_named(coloured, tmp_path):
    good = measured(labelled(coloured, tmp_path / "good.npz"), coloured)
    bad = measured(labelled(coloured, tmp_path / "bad.npz", spoilt=[2]), coloured)
    assert coloured.classes == ("blue", "rare", "red") and good.protocol == bad.protocol
    assert bad.words().startswith("worst class 'red': KID ") and "no class is clearly worse" not in bad.words()
    assert bad.words().endswith("1 of 3 classes have too few pictures to say")
    for before, after in zip(good.classes, bad.classes, strict=True):
        if before.name == "rare":
            assert before.measures == after.measures == {} and before.why.startswith("too few pictures: ")
            continue
        assert before.n == after.n >= FEWEST
        assert before.measures["fd"].value < 2 * before.measures["fd"].floor, "real pictures score about the floor"
        ratio = after.measures["fd"].value / before.measures["fd"].value
        assert ratio > 3 if after.name == "red" else ratio == pytest.approx(1)
        assert after.measures["precision"].floor == before.measures["precision"].floor > 0.5


def test_as_plain_values_and_as_text(coloured, tmp_path):
    result = evaluate(
        coloured.read(coloured.validation), coloured, n=N, labelled=labelled(coloured, tmp_path / "x.npz", [0])
    )
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))["by_class"]
    assert ByClass.of(found) == result.by_class and [one["class"] for one in found["classes"]] == [
        "blue",
        "rare",
        "red",
    ]
    assert found["by"] == "kid" and found["words"] == result.by_class.words() and found["column"] == "folder"
    assert "By class: worst class 'blue'" in result.text() and "too few pictures" in result.text()


def test_real_pictures_of_a_class_are_of_it_and_apart(coloured):
    for against in ("held-out", "train"):
        real = real_classes(coloured, against, 300, 0)
        assert real.share == 100 and real.measured == ["blue", "red"]
        for code, (reference, stand_in) in enumerate(zip(real.reference, real.stand_in, strict=True)):
            assert len(reference) == len(stand_in) <= 100 and not set(reference) & set(stand_in)
            assert set(coloured.labels(np.concatenate([reference, stand_in]).astype(int))) <= {code}
            assert set(reference) <= set(coloured.held_out if against == "held-out" else coloured.train)
            assert set(stand_in) <= set(coloured.train)


def test_a_folder_with_classes_is_measured_by_their_names(coloured, tmp_path):
    """The folder's classes are in another order, and one of them is none of the set's."""
    place = {"red": "red", "blue": "blue", "rare": "another"}
    for number, label in zip(coloured.train, coloured.labels(coloured.train), strict=True):
        folder = tmp_path / "given" / place[coloured.classes[label]]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(coloured.read([number])[0]).save(folder / f"{number}.png")
    of = {one.name: one.measures for one in measured(tmp_path / "given", coloured).classes}
    assert of["red"]["fd"].value < 2 * of["red"]["fd"].floor and not of["rare"]


def test_what_cannot_be_measured_by_class(coloured, digits, tmp_path):
    pictures = coloured.read(coloured.validation)
    np.savez(tmp_path / "bare.npz", x=pictures)
    with pytest.raises(UserError, match="has no array 'y'"):
        evaluate(pictures, coloured, labelled=tmp_path / "bare.npz")
    with pytest.raises(UserError, match="no class has 50 pictures on either side"):
        evaluate(digits.read(digits.validation), digits, labelled=tmp_path / "bare.npz")
    few = measured(labelled(coloured, tmp_path / "few.npz", count=30), coloured)
    assert all(not one.measures for one in few.classes) and few.words().startswith("no class could be measured: ")
    assert few.classes[0].why.startswith("too few samples: 30 are labelled so")
