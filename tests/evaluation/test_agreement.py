"""A judge that learnt from real pictures alone tells whether pictures show what was asked for."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from limner.api import Attribute
from limner.data import DataOptions, pack
from limner.errors import UserError
from limner.evaluation import judge as judging
from limner.evaluation.agreement import Agreement, Question, agreement, named, questions
from limner.labels import FINE
from limner.verbs.preparing import spec_of

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 220)}
LABELS = DataOptions(labels="colour,side,light", without="colour=red,side=left")


def drawing(colour, side, light, random):
    """A coloured square on the left or the right of a ground as bright as `light` of 100 says, with noise."""
    pixels = np.full((12, 16, 3), 2.0 * light)
    place = random.integers(0, 3) + (9 if side == "right" else 1)
    pixels[4:9, place : place + 4] = COLOURS[colour]
    return (pixels + random.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)


def drawings(labels, attributes, seed=1):
    """Pictures of labels (n, 3), as a perfect generator would paint them."""
    random = np.random.default_rng(seed)
    return np.stack([drawing(one["colour"], one["side"], one["light"], random) for one in named(labels, attributes)])


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    root = tmp_path_factory.mktemp("squares")
    random, rows = np.random.default_rng(0), []
    for i in range(600):
        colour, side, light = (
            list(COLOURS)[i % 3],
            ("left", "right")[i // 3 % 2],
            round(float(random.uniform(0, 100)), 1),
        )
        Image.fromarray(drawing(colour, side, light, random)).save(root / f"{i:03d}.png")
        rows.append({"file_name": f"{i:03d}.png", "colour": colour, "side": side, "light": light})
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return pack(root, LABELS)


@pytest.fixture(scope="module")
def attributes(squares):
    return spec_of(squares, LABELS).attributes


@pytest.fixture(scope="module", autouse=True)
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judging, "SHOWN", 8000)
        patch.setattr(judging, "BATCH", 64)
        yield


@pytest.fixture(scope="module")
def asked(squares, attributes):
    return questions(squares, attributes, LABELS.combinations, 200, seed=0)


def judged(squares, attributes, asked, spoil=lambda labels: labels):
    pictures = [drawings(spoil(one.labels.copy()), attributes) for one in asked]
    return agreement(squares, attributes, asked, pictures)


def test_what_is_asked_is_as_real_pictures_are_labelled(squares, attributes, asked):
    seen, unseen = asked
    assert seen.labels.shape == unseen.labels.shape == (200, 3)
    red, left = attributes[0].values.index("red"), attributes[1].values.index("left")
    assert not ((seen.labels[:, 0] == red) & (seen.labels[:, 1] == left)).any()
    assert (unseen.labels[:, 0] == red).all() and (unseen.labels[:, 1] == left).all()
    assert unseen.name == "colour=red, side=left" and seen.name == "" and len(np.unique(unseen.labels[:, 2])) > 50
    again = questions(squares, attributes, LABELS.combinations, 50, seed=0)
    assert np.array_equal(again[0].labels, seen.labels[:50])
    other = questions(squares, attributes, LABELS.combinations, 50, seed=1)
    assert not np.array_equal(other[0].labels, again[0].labels)


def test_a_perfect_generator_is_found_to_be_one(squares, attributes, asked):
    found = judged(squares, attributes, asked)
    assert found.learnt_from == len(squares.train) + len(squares.unseen)
    for group in found.groups:
        assert group.n == 200 and group.together.share > 0.95
        colour, side, light = group.attributes
        assert min(colour.share, side.share) > 0.97 and colour.low < colour.share <= colour.high
        assert light.correlation > 0.98 and light.error < 5 and light.judge_error < 5 and not light.values
    seen, unseen = (group.together for group in found.groups)
    assert seen.judge > 0.9 and seen.real + unseen.real == len(squares.held_out)
    assert unseen.judge is None and 0 < unseen.real < 8, "of so few real pictures nothing can be said"
    assert [group.name for group in found.groups] == ["", "colour=red, side=left"]
    shares = found.groups[0].attributes[0].values
    assert set(shares) == set(COLOURS) and sum(n for n, _ in shares.values()) == 200


def test_what_is_not_heeded_is_seen(squares, attributes, asked):
    def shuffled(labels):
        labels[:, 0] = np.random.default_rng(5).permutation(labels[:, 0])
        labels[:, 2] = FINE - labels[:, 2]
        return labels

    colour, side, light = judged(squares, attributes, asked, shuffled).groups[0].attributes
    assert colour.share < 0.6 and side.share > 0.97 and light.share < 0.4 and light.correlation < -0.9

    def never_red_on_the_left(labels):
        labels[labels[:, 0] == attributes[0].values.index("red"), 1] = attributes[1].values.index("right")
        return labels

    seen, unseen = judged(squares, attributes, asked, never_red_on_the_left).groups
    assert seen.together.share > 0.95 and unseen.together.share < 0.05, "combinations are counted apart"
    said = Agreement(1, (seen, unseen)).words()
    assert "colour=red, side=left, never seen in training, in " in said and "of real ones" in said


def test_a_judge_is_trained_once(squares, attributes, monkeypatch):
    first = judging.judge_of(squares, attributes)
    monkeypatch.setattr(judging, "_train", None)
    again = judging.judge_of(squares, attributes)
    pictures = squares.read(squares.held_out)
    assert np.array_equal(first.labels(pictures), again.labels(pictures))
    with pytest.raises(TypeError):
        judging.judge_of(squares, attributes[:1])


def test_the_result_is_plain_values_and_words(squares, attributes, asked):
    found = judged(squares, attributes, asked)
    again = Agreement.of(json.loads(json.dumps(found.to_dict())))
    assert again == found
    text = "\n".join(found.text())
    assert "never seen in training: colour=red, side=left (200 pictures)" in text and "off by" in text
    assert "all at once" in text and found.words() in text
    one = dataclasses.replace(found.groups[0], attributes=found.groups[0].attributes[:1])
    assert "the asked colour is found in" in Agreement(5, (one,)).words()


def test_what_is_left_open_counts_nothing(squares, attributes):
    labels = np.array([[0, -1, -1]] * 20)
    pictures = np.stack([drawing(attributes[0].values[0], "left", 10, np.random.default_rng(i)) for i in range(20)])
    (group,) = agreement(squares, attributes, [Question(labels)], [pictures]).groups
    assert [one.n for one in group.attributes] == [20, 0, 0] and group.together.share == group.attributes[0].share


def test_other_labels_are_refused(squares, attributes):
    with pytest.raises(UserError, match="have other labels than kind"):
        questions(squares, [Attribute("kind", ("a", "b"))], (), 10, 0)
    with pytest.raises(UserError, match="side is no label that can be asked for"):
        questions(squares, attributes[:1], LABELS.combinations, 10, 0)
