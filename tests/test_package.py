"""What somebody who installs Limner gets: the wheel, its metadata, the command."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from limner.provenance import version as the_version
from limner.provenance.version import _of_checkout

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


def test_a_checkout_knows_its_version_without_being_installed(tmp_path):
    assert the_version() == PROJECT["version"]
    code = "import limner; print(limner.__version__)"
    bare = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = [{str(ROOT / 'src')!r}]; {code}"]
    said = subprocess.run(bare, capture_output=True, text=True, cwd=tmp_path)
    assert said.stdout.strip() == PROJECT["version"], said.stderr
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\nversion = "9"\n')
    assert _of_checkout(tmp_path) is None and _of_checkout(tmp_path / "nowhere") is None


def test_one_place_knows_the_version():
    """Everybody else asks `limner.provenance.version`."""
    asking = [path for path in (ROOT / "src").rglob("*.py") if "importlib.metadata" in path.read_text()]
    assert [path.name for path in asking] == ["version.py"]


def test_elsewhere_the_version_is_what_was_installed_or_unknown(tmp_path):
    """A copy without pyproject.toml: unknown, and with metadata beside it what that says."""
    (tmp_path / "site").mkdir()
    shutil.copytree(ROOT / "src" / "limner" / "provenance", tmp_path / "site" / "limner" / "provenance")
    shutil.copy(ROOT / "src" / "limner" / "errors.py", tmp_path / "site" / "limner")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
    code += "from limner.provenance import version; print(version())"

    def said():
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()

    assert said() == "unknown"
    info = tmp_path / "site" / "limner-3.2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: limner\nVersion: 3.2.1\n")
    assert said() == "3.2.1"
