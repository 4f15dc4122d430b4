"""What somebody who installs Limner gets: the wheel, its metadata, the command."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True, capture_output=True, text=True)
    (path,) = folder.glob("limner-*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_has_all_that_the_package_has(wheel):
    """Every file of the source is in it: code, types, shipped weights, the web pages to come."""
    tracked = subprocess.run(["git", "ls-files", "src/limner"], cwd=ROOT, check=True, capture_output=True, text=True)
    expected = {name.removeprefix("src/") for name in tracked.stdout.splitlines() if (ROOT / name).is_file()}
    assert "limner/py.typed" in expected
    assert expected <= set(wheel.namelist())


def test_wheel_is_small_and_has_nothing_else(wheel):
    assert sum(entry.compress_size for entry in wheel.infolist()) < 5_000_000
    assert {name.split("/")[0] for name in wheel.namelist()} == {"limner", f"limner-{PROJECT['version']}.dist-info"}


def test_wheel_carries_licence_and_command(wheel):
    info = f"limner-{PROJECT['version']}.dist-info"
    assert "Apache License" in wheel.read(f"{info}/licenses/LICENSE").decode()
    assert "limn = limner.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()


def test_constraints_keep_the_build_of_torch():
    """Each dependency whose version moves numbers is pinned, torch first of all, and every pin is of something used."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pinned = [line.split("==")[0] for line in lines]
    assert pinned[0] == "torch"
    assert all("==" in line for line in lines)
    wanted = [*PROJECT["dependencies"], *(one for extra in PROJECT["optional-dependencies"].values() for one in extra)]
    used = {requirement.split(">")[0].split("[")[0] for requirement in wanted}
    assert set(pinned) <= used
