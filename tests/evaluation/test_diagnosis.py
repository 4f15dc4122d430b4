"""What is wrong with sets that were spoilt on purpose is named; nothing is wrong with real pictures."""

import numpy as np
import pytest
from spoiling import blurred, brightened, compressed, noisy, reddened

from limner.data import DataOptions, pack
from limner.evaluation import evaluate
from limner.evaluation.copies import Training, siblings
from limner.evaluation.diagnosis import Diagnosis, texts
from limner.evaluation.kinds import Kinds, repetition
from limner.evaluation.looks import NAMES, Looks, fingerprints, looks
from limner.evaluation.reference import shuffled

N = 120


@pytest.fixture(scope="module")
def shapes():
    """Drawn scenes: colour, sharp edges, labels."""
    return pack("shapes", DataOptions(size=32, limit=1500))


@pytest.fixture(scope="module")
def fresh(shapes):
    """Pictures that no training saw."""
    return shapes.read(np.concatenate([shapes.validation, shapes.held_out])[:N])


def said(pictures, packed):
    """The names of what is found, without what follows from it, and the diagnosis itself."""
    found = evaluate(pictures, packed, n=len(pictures)).diagnosis
    names = [one.name for one in found.findings]
    return [name for name in names if name not in ("unlike", "variety")] or names, found


def test_nothing_is_wrong_with_real_pictures(shapes, fresh, digits, photos):
    for packed, pictures in (
        (shapes, shapes.read(shapes.validation)),
        (shapes, shapes.read(shapes.validation[:30])),
        (digits, digits.read(digits.validation)),
        (photos, photos.read(photos.validation)),
    ):
        names, found = said(pictures, packed)
        assert names == [], found.findings
    assert texts(()) == ["Wrong: nothing that real pictures do not show as well."]


@pytest.mark.parametrize(
    ("way", "strength", "name", "words"),
    [
        (noisy, 25, "noise", "noisy: flat parts tremble by about"),
        (blurred, 1, "blur", "blurred: fine detail is 0."),
        (compressed, 10, "jpeg", "compressed: edges every 8 pixels"),
        (brightened, 90, "colours", "wrong colours: too"),
        (reddened, 60, "colours", "wrong colours: too"),
    ],
)
def test_spoilt_pictures_are_named(shapes, fresh, way, strength, name, words):
    names, found = said(way(fresh, strength), shapes)
    assert names[0] == name and set(names) <= {name, "colours"}, found.findings
    assert found.findings[0].words.startswith(words)
    assert found.to_dict()["diagnosis"][0].startswith(words) and found.to_dict()["findings"][0]["name"] == name


def test_grey_pictures_of_the_wrong_light(digits):
    names, found = said(255 - digits.read(digits.validation), digits)
    assert names == ["light"] and found.findings[0].words.startswith("wrong light: too bright by")
    assert "unlike real pictures: 0% could pass for real" in found.findings[1].words


def test_ten_pictures_repeated(shapes, fresh, digits):
    names, found = said(fresh[np.arange(100) % 10], shapes)
    assert names == ["repeated"] and "about 10 different pictures among 100" in found.findings[0].words
    assert said(digits.read(digits.validation)[np.arange(60) % 10], digits)[0] == ["repeated"]


def test_copies_of_training_pictures(shapes, digits):
    for packed in (shapes, digits):
        copies = packed.read(shuffled(packed.train, 3, "copies")[:N])
        names, found = said(copies, packed)
        assert names == ["copies"] and found.findings[0].words.startswith("copies: 100%")
        assert found.facts["copies"] == {
            "samples": 1.0,
            "real": pytest.approx(0, abs=0.06),
            "other_real": pytest.approx(0, abs=0.06),
        }


@pytest.mark.parametrize("amount", [12, 40])
def test_training_pictures_with_noise_are_near_copies(shapes, digits, amount):
    """Little noise is nothing else that is wrong; strong noise is a fault of its own beside it."""
    for packed in (shapes, digits):
        pictures = packed.read(shuffled(packed.train, 3, "copies")[:400])
        found = evaluate(noisy(pictures, amount), packed, n=400).diagnosis
        said = {one.name: one.words for one in found.findings}
        assert "near copies" in said or "copies" in said, found.findings
        assert "training pictures" in said.get("near copies", said.get("copies"))
        assert found.facts["near copies"]["samples"] > 0.5 + found.facts["near copies"]["real"]


def test_new_pictures_are_no_near_copies(shapes, fresh, digits):
    """Whatever is done to pictures that no training saw, nor a picture that is near to many."""
    for way, strength in ((noisy, 12), (noisy, 40), (blurred, 2), (brightened, 15)):
        for packed, pictures in ((shapes, fresh), (digits, digits.read(digits.validation))):
            names = [one.name for one in evaluate(way(pictures, strength), packed, n=N).diagnosis.findings]
            assert "near copies" not in names, (way, strength)
    average = np.repeat(digits.read(digits.train).mean(0, keepdims=True), N, 0).round().astype(np.uint8)
    assert "near copies" not in said(average, digits)[0]


def test_siblings_are_counted():
    draw = np.random.default_rng(0)
    training = Training.__new__(Training)
    training.numbers, training.coarse = np.arange(500), draw.normal(size=(500, 12)).astype(np.float32)
    fresh = draw.normal(size=(200, 12)).astype(np.float32)
    made = training.coarse[:200] + 0.2 * fresh
    assert siblings(training, made).share > 0.95 and siblings(training, fresh).share < 0.2
    assert siblings(training, np.concatenate([made, fresh])).share == pytest.approx(0.5, abs=0.1)
    themselves = siblings(training, training.coarse, np.arange(500))
    assert themselves.share < 0.2 and siblings(training, training.coarse).share == 1, "nobody is his own sibling"
    few = Training.__new__(Training)
    few.numbers, few.coarse = np.arange(9), training.coarse[:9]
    assert siblings(few, made).share == 0


def test_one_class_only_and_classes_that_are_missing(digits):
    labels = digits.labels(digits.train)
    for classes, words in (((3,), "one class only: "), ((0, 2, 3, 4, 6), "classes nearly missing: '")):
        some = digits.read(digits.train[np.isin(labels, classes)][:120])
        names, found = said(np.roll(some, 1, axis=2), digits)  # moved, so that they are no copies
        assert names == ["classes"] and found.findings[0].words.startswith(words), found.findings
        assert found.classes["column"] == "label" and sum(found.classes["samples"]) == pytest.approx(1)


def test_kinds_in_words():
    truth = np.repeat(np.arange(4), 50)

    def kinds(samples, column="animal"):
        return Kinds(column, ("ant", "bee", "cat", "dog"), np.asarray(samples), truth, np.eye(4))

    one = kinds(np.full(200, 2))
    assert one.unbalanced(200) and one.words().startswith("one class only: 100% are counted as animal 'cat'")
    missing = kinds(np.repeat([0, 1, 2], 67))
    assert missing.unbalanced(200) and missing.words().startswith("classes nearly missing: animal 'dog'")
    uneven = kinds(np.repeat([0, 1, 2, 3], [110, 40, 30, 20]))
    assert uneven.words() == "out of balance: 55% are counted as animal 'ant', of real pictures 25%"
    confused = Kinds(
        "animal", ("ant", "bee"), np.array([0, 1] * 50), np.zeros(100, int), np.array([[1, 0], [0.5, 0.5]])
    )
    assert confused.words().endswith("(of real ones that are, 50%)"), "half of real bees are counted as ants"
    assert not kinds(truth).unbalanced(200) and kinds(truth).distance == 0
    assert not one.unbalanced(5), "five different pictures prove nothing"
    assert kinds(np.full(200, 2), None).words().startswith("one kind only")
    mixed = one.weights(np.arange(200))
    assert mixed[truth == 2].sum() > 0 and mixed[truth != 2].sum() == 0


def test_looks_of_known_pictures():
    flat = np.full((4, 32, 32, 1), 100, np.uint8)
    table = dict(zip(NAMES, looks(np.repeat(flat, 3, axis=3))[0], strict=True))
    assert table["brightness"] == pytest.approx(100, abs=0.1)
    assert all(abs(table[name]) < 1e-3 for name in NAMES if name != "brightness")
    noise = np.random.default_rng(0).normal(128, 10, (20, 32, 32, 1)).round().clip(0, 255).astype(np.uint8)
    assert Looks(20, 1024).of([noise]).table[:, 1].mean() == pytest.approx(10, rel=0.06), "the deviation of the noise"
    red = np.zeros((1, 16, 16, 3), np.uint8)
    red[..., 0] = 60
    table = dict(zip(NAMES, looks(red)[0], strict=True))
    assert (table["red_green"], table["yellow_blue"], table["colourfulness"]) == (60, 30, 60)


def test_looks_come_out_the_same_in_any_blocks():
    pictures = np.random.default_rng(1).integers(0, 256, (90, 40, 40, 3), dtype=np.uint8)
    whole, parts = Looks(9000, 1600), Looks(9000, 1600)
    whole.of([pictures])
    parts.of([pictures[:7], pictures[7:8], pictures[8:60], pictures[60:]])
    assert whole.stride > 1 and len(whole.table) == len(whole.numbers) == -(-90 // whole.stride)
    np.testing.assert_allclose(whole.table, parts.table, rtol=1e-5)
    assert whole.prints == parts.prints and len(whole.prints) == 90
    assert fingerprints(pictures[:1, ..., :1]) == fingerprints(np.repeat(pictures[:1, ..., :1], 3, axis=3))


def test_repetition_counts_what_is_different():
    draw = np.random.default_rng(0)
    real, samples = draw.normal(size=(60, 8)), draw.normal(size=(6, 8))
    rows = samples[np.arange(60) % 6]
    prints = [bytes([i % 6]) for i in range(60)]
    assert repetition(prints, rows, real) == (6, 1.0, 0.0)
    near = rows + 1e-6 * draw.normal(size=rows.shape)  # almost equal: other bytes, the same picture to the eye
    different, twins, _ = repetition([bytes([i]) for i in range(60)], near, real)
    assert twins == 1.0 and different < 30
    assert repetition([bytes([i]) for i in range(60)], real, real)[:2] == (60, 0.0)


def test_an_empty_diagnosis_is_plain():
    assert Diagnosis().to_dict() == {"diagnosis": [], "findings": [], "facts": {}, "classes": None}
