"""What is held out is fixed by contents, torn nowhere, and divided as documented; duplicates are found."""

import io

import numpy as np
import pytest
from made_pictures import folder, picture, pixels
from PIL import Image

from limner.data import DataOptions, pack
from limner.data import duplicates as twice
from limner.data.part import thumbs
from limner.data.split import PART_TEST, PART_VALIDATION, divide


def digests(n, seed=0):
    return np.random.default_rng(seed).integers(0, 2**63, (n, 2)).astype(np.uint64)


@pytest.mark.parametrize(
    ("n", "held", "validation"),
    [
        (1, 0, 0),
        (3, 0, 0),
        (4, 2, 1),
        (20, 2, 1),
        (350, 35, 12),
        (1797, 180, 60),
        (6000, 600, 120),
        (60_000, 5000, 1000),
    ],
)
def test_sizes_of_the_parts(n, held, validation):
    made = divide(digests(n), np.arange(n), None)
    assert len(made.held_out) + len(made.validation) == held and len(made.validation) == validation
    assert sorted(np.concatenate([made.train, made.validation, made.held_out])) == list(range(n))


def test_choice_depends_on_contents_alone():
    d = digests(500)
    shuffled = np.random.default_rng(1).permutation(500)
    one, two = divide(d, np.arange(500), None), divide(d[shuffled], np.arange(500), None)
    for part in ("train", "validation", "held_out"):
        assert set(getattr(one, part)) == set(shuffled[getattr(two, part)])


def test_groups_are_never_torn():
    group = np.random.default_rng(2).integers(0, 60, 500)
    made = divide(digests(500), group, None)
    parts = [set(group[getattr(made, part)]) for part in ("train", "validation", "held_out")]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert all(parts)
    same = divide(digests(50), np.zeros(50, int), None)
    assert len(same.train) == 50 and not len(same.held_out)
    ten = divide(digests(1000), np.arange(1000) % 10, None)
    assert len(ten.train) >= 800 and len(ten.held_out) + len(ten.validation) == 100


def test_given_parts_are_respected_and_repeats_left_out():
    parts = np.repeat([0, PART_TEST], [80, 20])
    group = np.arange(100)
    group[5] = group[90]
    made = divide(digests(100), group, parts)
    assert made.left_out.tolist() == [5] and len(made.train) == 79
    assert sorted([*made.held_out, *made.validation]) == list(range(80, 100)) and len(made.validation) == 7
    parts[70:80] = PART_VALIDATION
    made = divide(digests(100), np.arange(100), parts)
    assert made.validation.tolist() == list(range(70, 80)) and made.held_out.tolist() == list(range(80, 100))
    parts[80:] = 0
    made = divide(digests(100), np.arange(100), parts)
    assert sorted([*made.held_out, *made.validation]) == list(range(70, 80)) and len(made.held_out)


def saved_anew(array, quality):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out))


def test_near_duplicates_are_found_and_others_are_not():
    base = np.stack([pixels(i, (48, 48)) for i in range(120)])
    copies = np.stack([saved_anew(x, 80) for x in base[:40]])
    small = [np.asarray(Image.fromarray(x).resize((36, 36), 3).resize((48, 48), 3)) for x in base[40:60]]
    changed = base[60:80].copy()
    changed[:, 16:30, 16:30] = 255 - changed[:, 16:30, 16:30]  # another detail
    x = np.concatenate([base, copies, np.stack(small), changed, base[100:101]])
    d = digests(len(x))
    d[-1] = d[100]
    found = twice.find(d, thumbs(x), lambda rows: x[rows])
    assert found.exact == 1
    pairs = [(i, 120 + i) for i in range(60)]
    hit = np.mean([found.group[a] == found.group[b] for a, b in pairs])
    assert hit > 0.95 and found.near == round(hit * 60)
    assert all(found.group[60 + i] != found.group[180 + i] for i in range(20))


def test_many_equal_pictures_do_not_cost_the_square():
    x = np.zeros((20_000, 8, 8, 1), np.uint8)
    x[::2] += 1
    found = twice.find(digests(len(x)), thumbs(x), lambda rows: x[rows])
    assert len(np.unique(found.group)) < 10


def test_duplicates_stay_together_in_a_pack(tmp_path):
    root = folder(tmp_path / "set", 60)
    for i in range(60):
        picture(i).save(root / f"{i:03d}-copy.bmp")
    made = pack(root)
    assert made.report["duplicates"]["exact"] == 60
    number = {i: made.file(i)[:3] for i in range(120)}
    parts = [{number[i] for i in part} for part in (made.train, made.validation, made.held_out)]
    assert not parts[0] & (parts[1] | parts[2]) and not parts[1] & parts[2] and all(parts)


def test_names_do_not_matter(tmp_path):
    one, two = folder(tmp_path / "a", 40), folder(tmp_path / "b", 40)
    for i in range(40):
        (two / f"{i:03d}.png").rename(two / f"z{99 - i}.png")

    def contents(made, part):
        return {made.read([i]).tobytes() for i in getattr(made, part)}

    a, b = pack(one, DataOptions()), pack(two)
    for part in ("train", "validation", "held_out"):
        assert contents(a, part) == contents(b, part)


def test_one_film_is_held_out_and_another_one_validates():
    group = np.arange(120) // 20
    made = divide(digests(120), group, None, films=True)
    assert [len(set(group[part])) for part in (made.train, made.validation, made.held_out)] == [4, 1, 1]
    assert not set(group[made.validation]) & (set(group[made.train]) | set(group[made.held_out]))
    two = divide(digests(40), np.arange(40) // 20, None, films=True)
    assert (len(two.train), len(two.validation), len(two.held_out)) == (20, 0, 20)
