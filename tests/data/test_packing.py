"""Packed once, whole or not at all, taken up where it stopped, made anew when the source changes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
from made_pictures import aside, folder, picture, pixels
from PIL import Image

from limner.data import DataOptions, open_pack, pack, scan
from limner.data import packing as module
from limner.data.packed import MANIFEST
from limner.errors import UserError


def counting(monkeypatch):
    """Counts the pictures that are decoded in this process."""
    from limner.data import part

    seen = []
    true = part._picture
    monkeypatch.setattr(part, "_picture", lambda payload: (seen.append(1), true(payload))[1])
    return seen


def test_interface_of_a_pack(tmp_path):
    root = folder(tmp_path / "set" / "a", 12)
    folder(tmp_path / "set" / "b", 8, first=50)
    made = pack(root.parent)
    assert len(made) == 20 and made.shape == (3, 24, 24) and made.depth == 8 and len(made.id) == 32
    assert made.classes == ("a", "b") and made.attributes == {"folder": ("a", "b")}
    for part in (made.train, made.validation, made.held_out):
        assert part.dtype == np.int64 and len(part) and (np.diff(part) > 0).all()
    joined = np.concatenate([made.train, made.validation, made.held_out])
    assert sorted(joined) == list(range(20))
    assert made.read([3, 0]).shape == (2, 24, 24, 3) and np.array_equal(made.read([3])[0], pixels(3))
    assert made.labels([0, 19]).tolist() == [0, 1] and made.labels([0]).dtype == np.int64
    with pytest.raises(UserError, match="label column 'colour'"):
        made.labels([0], "colour")
    again = open_pack(made.path)
    assert again.id == made.id and again.report == made.report
    made.verify()


def test_packed_once_and_reused(tmp_path, monkeypatch):
    root = folder(tmp_path / "set", 30)
    decoded = counting(monkeypatch)
    first = pack(root)
    count = len(decoded)
    assert count >= 30
    report = scan(root)
    second = pack(root)
    assert len(decoded) == count and second.path == first.path and report.to_dict() == first.report
    moved = tmp_path / "elsewhere" / "set"
    moved.parent.mkdir()
    root.rename(moved)
    assert pack(moved).path == first.path and len(decoded) == count
    scanned = folder(tmp_path / "other", 10)
    scan(scanned)
    count = len(decoded)
    pack(scanned)
    assert len(decoded) == count, "a scan and a pack share one decoding"


def test_rebuilt_when_the_source_or_the_options_change(tmp_path):
    root = folder(tmp_path / "set", 12)
    out = tmp_path / "my.pack"
    first = pack(root, out=out)
    assert first.path == out and pack(out).id == first.id
    picture(99).save(root / "003.png")
    second = pack(root, out=out)
    assert second.id != first.id and np.array_equal(second.read([3])[0], pixels(99))
    picture(3).save(root / "003.png")
    third = pack(root, out=out)
    assert third.id == first.id, "the id is of the contents"
    small = pack(root, DataOptions(size=8), out=out)
    assert small.shape == (3, 8, 8)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my.pack", "set"]


def test_out_is_never_something_else(tmp_path):
    root = folder(tmp_path / "set", 4)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("years")
    with pytest.raises(UserError, match="not a packed set"):
        pack(root, out=tmp_path / "precious")
    assert (tmp_path / "precious" / "thesis.tex").read_text() == "years"
    with pytest.raises(UserError, match="cannot write"):
        pack(root, out=root / "000.png" / "deeper")
    with pytest.raises(UserError, match="not a packed set"):
        open_pack(root)
    with pytest.raises(UserError, match="packed already"):
        pack(pack(root).path, DataOptions(size=8))


def test_damage_is_noticed(tmp_path):
    root = folder(tmp_path / "set", 6)
    made = pack(root, out=tmp_path / "p")
    raw = bytearray((tmp_path / "p" / "pixels.raw").read_bytes())
    raw[100] ^= 1
    (tmp_path / "p" / "pixels.raw").write_bytes(raw)
    with pytest.raises(UserError, match="damaged"):
        open_pack(tmp_path / "p").verify()
    (tmp_path / "p" / "pixels.raw").write_bytes(raw[:50])
    with pytest.raises(UserError, match="pixels.raw is missing or cut off"):
        open_pack(tmp_path / "p")
    assert pack(root, out=tmp_path / "p").id == made.id
    (tmp_path / "p" / MANIFEST).write_text("{}")
    with pytest.raises(UserError, match="damaged or of another version"):
        open_pack(tmp_path / "p")


def test_sizes_need_an_answer_and_are_reported(tmp_path):
    root = folder(tmp_path / "set", 6)
    folder(root, 2, size=(40, 24), first=100, ending="bmp")
    with pytest.raises(UserError, match=r"different sizes \(6 of 24x24, 2 of 24x40\).*--size"):
        pack(root)
    values = scan(root).to_dict()
    assert (
        values["sizes"] == {"24x24": 6, "24x40": 2}
        and values["pack"] is None
        and "--size" in values["resizing"]["words"]
    )
    made = pack(root, DataOptions(size=32))
    assert {k: made.report["resizing"][k] for k in ("to", "shrunk", "enlarged", "cropped")} == {
        "to": "32x32", "shrunk": 0, "enlarged": 8, "cropped": 2,
    }  # fmt: skip
    assert "ENLARGED" in scan(root, DataOptions(size=32)).text()
    large = folder(tmp_path / "large", 3, size=(65, 65))
    with pytest.raises(UserError, match="65x65, larger than 64 px"):
        pack(large)
    assert pack(large, DataOptions(size=65)).report["resizing"]["shrunk"] == 0


def test_one_odd_picture_late_in_a_large_set_is_found(tmp_path):
    root = folder(tmp_path / "set", 150, size=(8, 8))
    picture(7, (9, 8)).save(root / "071b.png")
    with pytest.raises(UserError, match="different sizes"):
        pack(root)
    assert scan(root).to_dict()["sizes"] == {"8x8": 150, "8x9": 1}


@pytest.mark.parametrize(
    ("crop", "wanted"),
    [
        ("center", lambda im: im.resize((16, 16), Image.Resampling.BICUBIC, box=(12, 0, 36, 24))),
        ("stretch", lambda im: im.resize((16, 16), Image.Resampling.BICUBIC)),
        ("fit", None),
        ("random", None),
    ],
)
def test_crop_modes(tmp_path, crop, wanted):
    root = tmp_path / "set"
    root.mkdir()
    image = picture(5, (24, 48))
    image.save(root / "a.png")
    image.save(root / "b.png")
    made = pack(root, DataOptions(size=16, crop=crop))
    found = made.read([0])[0]
    assert np.array_equal(found, made.read([1])[0]), "copies stay copies"
    if wanted is not None:
        assert np.array_equal(found, np.asarray(wanted(image)))
    if crop == "fit":
        inner = np.asarray(image.resize((16, 8), Image.Resampling.BICUBIC))
        assert np.array_equal(found[4:12], inner) and (found[:4] == 255).all() and (found[12:] == 255).all()
        assert pack(root, DataOptions(size=100, crop="fit")).report["resizing"]["enlarged"] == 0
    if crop == "random":
        boxes = [(x / 4, 0, x / 4 + 24, 24) for x in range(0, 97)]
        near = min(np.abs(found.astype(int) - np.asarray(image.resize((16, 16), 3, box=b))).max() for b in boxes)
        assert near <= 12, "a crop of the picture"


def test_oblong_sizes(tmp_path):
    made = pack(folder(tmp_path / "set", 3), DataOptions(size=(8, 16), crop="stretch"))
    assert made.shape == (3, 8, 16)
    assert np.array_equal(made.read([1])[0], np.asarray(picture(1).resize((16, 8), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize(
    "bad",
    [
        {"size": 0},
        {"size": (4, 5, 6)},
        {"size": 10**6},
        {"crop": "centre"},
        {"alpha": "drop"},
        {"channels": 2},
        {"depth": 12},
        {"limit": 0},
        {"depth": 16, "channels": 3},
        {"alpha": "keep", "channels": 3},
    ],
)
def test_impossible_options(bad):
    with pytest.raises(UserError):
        DataOptions(**bad)


def test_limit_is_a_seeded_choice(tmp_path):
    root = folder(tmp_path / "set", 40)
    one, two, other = (pack(root, DataOptions(limit=10, seed=s)) for s in (1, 1, 2))
    files = [[p.file(i) for i in range(10)] for p in (one, two, other)]
    assert len(one) == 10 and files[0] == files[1] != files[2]


def test_several_processes_give_the_same_pack(tmp_path):
    root = folder(tmp_path / "set", 150)
    (root / "bad.png").write_bytes(b"bad")
    seen = []
    here = pack(root, out=tmp_path / "here", workers=1)
    there = pack(root, out=tmp_path / "there", workers=3, progress=lambda *told: seen.append(told))
    assert here.id == there.id and aside(there.report) == {"bad.png": "not a picture"}
    assert seen[-1][:2] == (151, 151) and [t[0] for t in seen] == sorted(t[0] for t in seen) and len(seen) > 3


KILLED = """
import sys, os
from limner.data import pack, part, worker
count = 0
true = worker.write_part
def write(*a, **k):
    global count
    if count == int(sys.argv[3]):
        os.kill(os.getpid(), 9)
    count += 1
    true(*a, **k)
worker.write_part = write
pack(sys.argv[1], out=sys.argv[2], workers=1)
"""


def test_killed_packing_leaves_no_pack_and_is_taken_up(tmp_path, monkeypatch):
    root = folder(tmp_path / "set", 150, size=(8, 8))
    out = tmp_path / "out"
    for parts in ("2", "1"):
        died = subprocess.run([sys.executable, "-c", KILLED, root, out, parts], check=False, env=dict(os.environ))
        assert died.returncode == -signal.SIGKILL and not out.exists()
    with pytest.raises(UserError):
        open_pack(out)
    decoded = counting(monkeypatch)
    made = pack(root, out=out, workers=1)
    assert len(decoded) <= 150 - 3 * 32 + 8, "three parts of 32 were done already (8 pictures are for the estimate)"
    assert made.id == pack(root, workers=1, out=tmp_path / "fresh").id
    assert not list(tmp_path.glob(".out.*partial"))


def test_a_killed_caller_takes_its_processes_along(tmp_path):
    root = folder(tmp_path / "set", 300, size=(64, 64))
    code = "import sys; from limner.data import pack; pack(sys.argv[1], out=sys.argv[2], workers=2)"
    caller = subprocess.Popen([sys.executable, "-c", code, root, tmp_path / "out"])
    staging = None
    while caller.poll() is None and not (staging and list(staging.glob("parts/*.json"))):
        staging = next(iter(tmp_path.glob(".out.*.partial")), None)
        time.sleep(0.002)
    caller.kill()
    caller.wait()
    assert not (tmp_path / "out").exists()

    def alive():
        return [p for p in psutil.process_iter(["cmdline"]) if str(staging) in (p.info["cmdline"] or [])]

    deadline = time.time() + 20
    while alive() and time.time() < deadline:
        time.sleep(0.05)
    assert staging is not None and not alive()
    assert pack(root, out=tmp_path / "out").id == pack(root, out=tmp_path / "fresh", workers=1).id


def test_killed_at_every_step_of_the_end(tmp_path, monkeypatch):
    """Stops at each file operation of the last steps: there is either no pack, or the whole one."""
    root = folder(tmp_path / "set", 6)
    wanted = pack(root, out=tmp_path / "wanted").id

    class Killed(BaseException):
        pass

    for number in range(7):
        out = tmp_path / f"out{number}"
        calls = iter(range(100))

        def dies(true, number=number, calls=calls):
            def call(*args, **kwargs):
                if next(calls) == number:
                    raise Killed
                return true(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            from limner.data import finish

            patch.setattr(finish, "write_file", dies(finish.write_file))
            for name in ("clear_work", "sync_folder", "put_in_place"):
                patch.setattr(module, name, dies(getattr(module, name)))
            try:
                pack(root, out=out, workers=1)
            except Killed:
                assert not out.exists()
        assert pack(root, out=out, workers=1).id == wanted


def test_a_decoder_that_crashes_costs_one_picture(tmp_path, monkeypatch):
    """A process that dies over a picture is started anew, and the picture is set aside."""
    root = folder(tmp_path / "set", 80)
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'limner.data.worker' in ' '.join(sys.orig_argv):\n"
        "    from limner.data import part\n"
        "    true = part.decode\n"
        f"    bad = open({str(root / '041.png')!r}, 'rb').read()\n"
        "    part.decode = lambda data: os.kill(os.getpid(), 11) if data == bad else true(data)\n"
    )
    monkeypatch.syspath_prepend(str(site))
    made = pack(root, workers=2)
    assert len(made) == 79 and list(aside(made.report)) == ["041.png"]
    assert "crashed (signal 11)" in aside(made.report)["041.png"]


def test_two_at_once_pack_once(tmp_path, monkeypatch):
    root = folder(tmp_path / "set", 40)
    finished = []
    true = module.finish

    def slow(*args):
        finished.append(1)
        time.sleep(0.3)
        return true(*args)

    monkeypatch.setattr(module, "finish", slow)
    made = []
    threads = [threading.Thread(target=lambda: made.append(pack(root, workers=1))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(finished) == 1 and made[0].id == made[1].id


def test_a_full_disk_is_one_clear_line(tmp_path, monkeypatch):
    root = folder(tmp_path / "set", 8)
    import shutil

    true = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: true._replace(free=1000))
    with pytest.raises(UserError, match="MiB are free"):
        pack(root)


def test_report_for_people_and_programs(tmp_path):
    root = folder(tmp_path / "set" / "a", 10)
    folder(tmp_path / "set" / "b", 10, first=20)
    picture(3).save(root / "copy.png")
    picture(4).save(root / "again.jpg", quality=95)
    (root / "x.png").write_bytes(b"")
    report = scan(root.parent)
    values = json.loads(json.dumps(report.to_dict()))
    assert values["pictures"] == 22 and values["classes"] == {"a": 12, "b": 10} and values["captions"] == 0
    assert values["duplicates"] == {"exact": 1, "near": 1} and values["modes"] == {"RGB": 22}
    assert values["set_aside"] == [{"file": "a/x.png", "reason": "empty file"}]
    text = report.text()
    for words in ("22 pictures", "one folder a class", "a (12), b (10)", "1 exact, 1 near", "a/x.png: empty file"):
        assert words in text
    assert max(map(len, text.splitlines())) < 200


def test_importing_does_not_bring_torch():
    code = "import sys, limner.data as d; d.DataOptions; d.pack; d.scan; d.Report; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
