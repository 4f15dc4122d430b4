"""The sets that come with the package: their numbers, and that what they say is true."""

import json

import numpy as np
import pytest

from limner.data import DataOptions, pack
from limner.data.scenes import BACKGROUNDS, COLOURS, SHAPES, SIZES, paint, scene
from limner.errors import UserError


def test_digits():
    made = pack("digits")
    assert len(made) == 1797 and made.shape == (1, 8, 8) and made.classes == tuple("0123456789")
    assert len(made.train) == 1617 and len(made.validation) == 60 and len(made.held_out) == 120
    x = made.read(np.arange(1797))
    assert x.min() == 0 and x.max() == 255 and len(np.unique(x)) == 17


def test_shapes_are_a_function_of_seed_and_number():
    one, more = pack("shapes:20"), pack("shapes:60")
    assert len(one) == 20 and one.shape == (3, 32, 32) and one.classes == more.classes == tuple(sorted(SHAPES))
    assert np.array_equal(one.read(range(20)), more.read(range(20)))
    assert [one.caption(i) for i in range(20)] == [more.caption(i) for i in range(20)]
    other = pack("shapes", DataOptions(limit=20, seed=1))
    assert not np.array_equal(one.read(range(20)), other.read(range(20)))
    oblong = pack("shapes:5", DataOptions(size=(48, 96)))
    assert oblong.shape == (3, 48, 96) and oblong.report["resizing"]["enlarged"] == 0


def test_captions_and_columns_tell_the_truth():
    made = pack("shapes:300")
    for i in range(300):
        row = {name: made.table[name][i].as_py() for name in made.table.column_names}
        truth = json.loads(row["scene"])
        first = truth["shapes"][0]
        assert (row["shape"], row["colour"], row["size"]) == (first["shape"], first["colour"], first["size"])
        assert made.caption(i).startswith(f"a {first['size']} {first['colour']} {first['shape']}")
        assert made.caption(i).endswith(f" on {row['background']}") and row["count"] == len(truth["shapes"])
        for shape in truth["shapes"]:
            assert shape["visible"] >= 0.55 and SIZES[shape["size"]][0] <= shape["radius"] <= SIZES[shape["size"]][1]
        if row["relation"] in ("left of", "right of"):
            assert (first["x"] < truth["shapes"][1]["x"]) == (row["relation"] == "left of")
        if row["relation"] in ("above", "below"):
            assert (first["y"] < truth["shapes"][1]["y"]) == (row["relation"] == "above")
        assert row["overlap"] == (row["relation"] == "in front of")
    assert {made.table["count"][i].as_py() for i in range(300)} == {1, 2, 3}


def test_the_picture_shows_what_the_scene_says():
    """At the front shape's middle (beside the hole of a ring) is its colour; most pixels are pure; edges are smooth."""
    inside, blends = 0, 0
    for i in range(60):
        what = scene(4, i)
        drawn = paint(what, 96, 96).astype(int)
        assert drawn.shape == (96, 96, 3)
        front = what.shapes[0]
        x = front.x + (0.7 * front.radius if front.shape == "ring" else 0)
        found = drawn[int(front.y * 96), int(x * 96)]
        inside += np.abs(found - front.rgb).max() <= 2
        colours = np.array([what.background_rgb, *(s.rgb for s in what.shapes)])
        pure = (np.abs(drawn[:, :, None] - colours).max(-1) <= 1).any(-1)
        assert pure.mean() > 0.8
        blends += (~pure).any()
    assert inside == 60 and blends == 60


def test_one_scene_looks_alike_at_every_size():
    for i in range(10):
        large = paint(scene(0, i), 128, 128).astype(float)
        small = paint(scene(0, i), 32, 32).astype(float)
        assert np.abs(large.reshape(32, 4, 32, 4, 3).mean((1, 3)) - small).mean() < 1.5


def test_every_word_occurs():
    made = pack("shapes:2000")
    assert set(made.attributes["shape"]) == set(SHAPES) and set(made.attributes["colour"]) == set(COLOURS)
    assert set(made.attributes["background"]) == set(BACKGROUNDS) and len(made.attributes["place"]) == 9
    counts = made.report["attributes"]["shape"]
    assert min(counts.values()) > 0.6 * 2000 / len(SHAPES)


def test_photos():
    made = pack("photos:320")
    assert made.shape == (3, 64, 64) and len(made.classes) == 16 and "astronaut" in made.classes
    held = [*made.held_out, *made.validation]
    assert len(held) == 32 and made.report["resizing"]["enlarged"] == 0
    assert pack("photos:16", DataOptions(size=(32, 48))).shape == (3, 32, 48)
    with pytest.raises(UserError, match="at most 192"):
        pack("photos", DataOptions(size=256))


def test_held_out_crops_of_photos_touch_no_other():
    import random

    from limner.data.sources.photos import PhotosReader

    reader = PhotosReader({"height": 64, "width": 64, "seed": 0}, None)
    for size in ((512, 512), (640, 427), (300, 451)):
        axis = 0 if size[0] >= size[1] else 1
        boxes = {held: [reader._box(random.Random(i), size, held) for i in range(200)] for held in (True, False)}
        for box in boxes[True] + boxes[False]:
            assert min(box) >= 0 and box[2] <= size[0] and box[3] <= size[1]
            assert box[2] - box[0] >= 64 and box[3] - box[1] >= 64
        assert max(b[2 + axis] for b in boxes[False]) <= min(b[axis] for b in boxes[True])
