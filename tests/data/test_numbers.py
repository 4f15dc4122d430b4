"""Numbers as labels: which columns are one scale, how they are stored, and combinations that are left out."""

import io
import json
import tarfile

import made_pictures
import numpy as np
import pytest

from limner.data import Batches, DataOptions, open_pack, pack
from limner.errors import UserError
from limner.labels import FINE, NumberNames, code_of, number_of
from limner.verbs.preparing import spec_of


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Eighty pictures with ages in years and tenths, years of birth, one of three hair colours, and glasses."""
    root = made_pictures.folder(tmp_path_factory.mktemp("people"), 80)
    rows = [
        {
            "file_name": f"{i:03d}.png",
            "age": None if i == 5 else 20 + i / 2,
            "born": 1900 + i,
            "sides": i % 7,
            "hair": ("black", "red", "white")[i % 3],
            "glasses": i % 2 == 0,
            "hat": ("no", "yes")[i % 2],
            "label": i % 40,
        }
        for i in range(80)
    ]
    (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return root


def test_fixed_point():
    ends = (-3.0, 7.0)
    assert code_of("x", -3, ends) == 0 and code_of("x", 7, ends) == FINE and code_of("x", 2, ends) == FINE // 2
    for number in (-3, -1.234, 0, 6.999):
        assert number_of(code_of("x", number, ends), ends) == pytest.approx(number, abs=10 / FINE)
    with pytest.raises(UserError, match=r"x 7.5 was never seen: ask for -3 to 7"):
        code_of("x", 7.5, ends)
    names = NumberNames("age", (0.0, 100.0))
    assert len(names) == FINE + 1 and names[3750] == "age=37.5" and names[0:2] == ["age=0", "age=0.01"]


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        ("age", {"age": "number"}),
        ("born", {"born": "number"}),
        ("sides", {"sides": "class"}),
        ("label", {"label": "class"}),
        ("label:number", {"label": "number"}),
        ("born:class, age", {"born": "class", "age": "number"}),
        ("sides:number,hair", {"sides": "number", "hair": "class"}),
    ],
)
def test_which_columns_are_one_scale(people, said, kinds):
    made = pack(people, DataOptions(labels=said))
    assert {name: "number" if name in made.ranges else "class" for name in kinds} == kinds
    assert all((made.attributes[name] == ()) == (kind == "number") for name, kind in kinds.items())
    classes = [name for name, kind in kinds.items() if kind == "class"]
    assert made.manifest.class_column == (classes[0] if classes else None), "the first one of classes gives the classes"


def test_what_is_no_number_is_refused(people):
    with pytest.raises(UserError, match="'hair' cannot be a number: it holds string"):
        pack(people, DataOptions(labels="hair:number"))
    with pytest.raises(UserError, match="unknown label column 'aeg'"):
        pack(people, DataOptions(labels="aeg:number"))


def test_numbers_are_kept_on_the_range_of_the_training_part(people):
    made = open_pack(pack(people, DataOptions(labels="hair,age:number")).path)
    ages = np.array([np.nan if age is None else age for age in made.table["age"].to_pylist()], float)
    low, high = made.ranges["age"]
    seen = ages[made.train]
    assert (low, high) == (np.nanmin(seen), np.nanmax(seen))
    codes = made.labels(np.arange(80), "age")
    known = np.isfinite(ages)
    assert (codes[~known] == -1).all() and codes[made.train].max() == FINE and (codes[known] >= 0).all()
    restored = low + (high - low) * codes / FINE
    np.testing.assert_allclose(restored[known], ages[known].clip(low, high), atol=(high - low) / FINE)
    report = made.report
    assert report["numbers"]["age"]["pictures"] == 79 and "age" not in report["attributes"]
    spec = spec_of(made, DataOptions(labels="age:number,hair"))
    assert [one.name for one in spec.attributes] == ["hair", "age"] and spec.classes == ("black", "red", "white")
    assert spec.attributes[1].range == (low, high)
    again = spec_of(made, DataOptions())
    assert again == spec_of(made, DataOptions(labels="hair,age")), "a pack knows which columns were named"


def test_batches_carry_numbers_beside_classes(people):
    made = pack(people, DataOptions(labels="hair,age"))
    batch = Batches(made, made.train, 16, 0, columns=["hair", "age"]).at(3)
    rows = batch.index.numpy()
    assert batch.labels.shape == (16, 2)
    assert (batch.labels[:, 1].numpy() == made.labels(rows, "age")).all()
    assert (batch.labels[:, 0].numpy() == made.labels(rows, "hair")).all()


@pytest.mark.parametrize("how", [{"longtail": 10.0}, {"classes": ("30",)}])
def test_what_needs_classes_says_so(people, how):
    with pytest.raises(UserError, match="class"):
        pack(people, DataOptions(labels="age", **how))


def test_a_combination_is_kept_from_training(people):
    plain = pack(people, DataOptions(labels="hair,glasses"))
    made = open_pack(pack(people, DataOptions(labels="hair,glasses", without="hair=red, glasses=true")).path)
    hair, glasses = (made.labels(np.arange(80), name) for name in ("hair", "glasses"))
    named = (hair == made.attributes["hair"].index("red")) & (glasses == made.attributes["glasses"].index("true"))
    assert not named[made.train].any() and not named[made.validation].any() and named[made.unseen].all()
    assert np.array_equal(made.held_out, plain.held_out), "what is held out shows it still"
    assert sorted([*made.train, *made.unseen, *made.validation]) == sorted([*plain.train, *plain.validation])
    assert made.id != plain.id
    said = made.report["without"]
    assert said["pictures"] == len(made.unseen) and said["held_out"] == named[made.held_out].sum()
    several = pack(people, DataOptions(labels="hair", without="hair=red,glasses=true; sides=3"))
    sides = several.labels(several.train, "sides")
    assert several.attributes["sides"][3] == "3" and not (sides == 3).any()


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("hair", "impossible combination 'hair': write it as"),
        ("hair=green", "unknown hair 'green'"),
        ("beard=no", "unknown label column 'beard'"),
        ("age=30", "age is a number, and only classes"),
        ("glasses=true,hat=yes", "no picture has the combination"),
    ],
)
def test_impossible_combinations(people, without, said):
    with pytest.raises(UserError, match=said):
        pack(people, DataOptions(labels="hair,age", without=without))


def test_a_stream_knows_numbers_and_combinations(tmp_path):
    for shard in range(4):
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as out:
            for i in range(40 * shard, 40 * shard + 40):
                buffer = io.BytesIO()
                made_pictures.picture(i).save(buffer, "png")
                about = {"age": 20 + i / 4, "hair": ("black", "red")[i % 2], "hat": i % 3}
                for name, data in ((f"{i:04d}.png", buffer.getvalue()), (f"{i:04d}.json", json.dumps(about).encode())):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(data)
                    out.addfile(entry, io.BytesIO(data))
    options = DataOptions(labels="hair,age", without="hair=red,hat=1", stream=True, buffer=50, size=24)
    made = pack(str(tmp_path / "{0..3}.tar"), options)
    low, high = made.ranges["age"]
    batch = Batches(made, made.train, 60, 0, columns=["hair", "age", "hat"]).at(0)
    index, labels = batch.index.numpy(), batch.labels.numpy()
    numbers = 40 * (index >> 32) + (index & 0xFFFFFFFF)
    np.testing.assert_allclose(low + (high - low) * labels[:, 1] / FINE, (20 + numbers / 4).clip(low, high), atol=0.01)
    assert not ((numbers % 2 == 1) & (numbers % 3 == 1)).any(), "not one of what was left out"
