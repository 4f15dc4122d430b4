"""The rules of the house, checked on the source itself.

`ARROWS` is the map: a room may import the rooms on its right and no others. It is written from the bottom up, so a
row only names rooms above it. An import inside a function counts like one at the top of a file, and so does a
module's name in a string, since that is how lazy tables import.

Ruff looks after what it can see in one file: docstrings, swallowed errors, names, line length.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "src" / "limner"

# The ground floor, which any room may stand on: errors for users, typed options, named random numbers, devices,
# safe writing, the processes that share a piece of work.
GROUND = {"errors", "labels", "config", "draws", "devices", "storage", "launch", "processes", "crew"}

# Pictures in and out, and the folder that a run is.
INOUT = {"data", "provenance", "pictures", "runs"}

ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "labels": {"errors"},
    "config": {"errors"},
    "draws": {"errors"},
    "devices": {"errors"},
    "storage": {"errors"},
    "launch": set(),
    "processes": {"errors", "launch"},
    "crew": {"processes"},
    "api": GROUND,
    # pieces that know no family
    "nn": GROUND,
    "losses": GROUND,
    "noising": GROUND,
    # pictures and files
    "data": GROUND,
    "provenance": {"errors"},
    "pictures": {"errors", "storage", "data", "provenance"},
    # Python files that a user brings along
    "own": {"errors", "storage", "data"},
    # noise to pictures: pure solvers, and the one function that has a generator paint
    "samplers": GROUND | {"api", "noising", "data"},
    # one method, one file; a recipe is a complete configuration of one
    "families": GROUND | {"api", "nn", "losses", "noising", "samplers", "own"},
    "recipes": GROUND | {"api", "families", "nn", "own"},
    # a run's folder; through the table of names it turns a saved config into its generator
    "runs": GROUND | {"api", "families", "data", "provenance", "pictures"},
    # what is done with a generator, whichever it is: never a family, never one another
    "training": GROUND | INOUT | {"api", "samplers"},
    "tasks": GROUND | INOUT | {"api", "samplers"},
    "evaluation": GROUND | INOUT | {"api", "samplers", "nn"},
    "serving": GROUND | INOUT | {"api", "samplers"},
    "export": GROUND | INOUT | {"api", "samplers"},
    # of the methods they see the mathematics alone, which points in the plane show
    "studies": GROUND | INOUT | {"api", "nn", "losses", "noising", "samplers", "training", "tasks", "evaluation"},
    # the promises that every recipe keeps, tried
    "check": GROUND | INOUT | {"api", "families", "recipes", "samplers", "training", "evaluation"},
    # the verbs put it together; of the families they see the table of names only, to hand it in
    "verbs": GROUND
    | INOUT
    | {"api", "families", "recipes", "studies", "training", "tasks", "evaluation", "serving", "export", "own", "check"},
    # the command line parses and prints
    "cli": {"errors", "config", "launch", "verbs"},
    "__main__": {"cli"},
    "__init__": {"errors", "verbs", "pictures"},
}

# Kinds whose methods are combined of parts: the words that all parts share, the table of the parts, what puts them
# together.
COMBINED = {
    "limner.families.gan": (
        {"options", "config", "conditioning", "critic", "styling", "attentive"},
        "architectures",
        {"rules", "regularisers", "stabilisers", "game", "styled", "attending"},
    ),
    "limner.families.diffusion": ({"aligning", "denoiser", "finish"}, "", set()),
    "limner.families.baselines": ({"closed_form"}, "", set()),
}

LINES_IN_A_FILE = 400

# Slow to import: `limn --help` and `import limner` must not wait for any of them.
HEAVY = {"torch", "numpy", "scipy", "PIL", "sklearn", "skimage", "pyarrow", "tensorboard", "safetensors"}


@cache
def modules() -> dict[str, Path]:
    """Dotted name to file of every module of the package."""
    found = {}
    for path in sorted(HOUSE.rglob("*.py")):
        parts = path.relative_to(HOUSE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def room(module: str) -> str:
    """The package or module right under `limner` that a dotted name lies in."""
    return (module.split(".") + ["__init__"])[1]


def imports(module: str) -> Iterator[tuple[str, int]]:
    """Every name that a module imports, whole, with its line; a module of the package wherever there is one."""
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if base == "limner" and [alias.name for alias in node.names] == ["__version__"]:
                continue
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield (whole if whole in modules() else base), node.lineno
        elif isinstance(node, ast.Constant) and str(node.value).startswith("limner."):
            name = str(node.value).partition(":")[0]
            if name in modules():
                yield name, node.lineno


def inside(module: str) -> Iterator[tuple[str, int]]:
    """What a module imports of the package itself."""
    return ((name, line) for name, line in imports(module) if name == "limner" or name.startswith("limner."))


def where(module: str, line: int) -> str:
    return f"{modules()[module].relative_to(ROOT)}:{line}"


def calls(module: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call by the dotted name it is written with, such as `torch.randn`."""
    for node in ast.walk(tree(modules()[module])):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            yield ast.unparse(node.func), node


def test_every_room_is_on_the_map():
    assert {room(module) for module in modules()} <= set(ARROWS)


def test_arrows_point_down():
    """The table has no circle: each row stands on rows above it."""
    above: set[str] = set()
    for name, allowed in ARROWS.items():
        assert allowed <= above, f"{name} may import {allowed - above}, which stand below it in the table"
        above.add(name)


def test_imports_follow_the_arrows():
    wrong = [
        f"{where(module, line)}: {room(module)} imports {name}"
        for module in modules()
        for name, line in inside(module)
        if room(name) != room(module) and room(name) not in ARROWS[room(module)]
    ]
    assert not wrong, "\n".join(wrong)


def test_families_do_not_import_their_siblings():
    """A shared piece moves down; a part of another family is handed in. Only the table of names sees them all.

    Of a kind that is combined of parts, a part sees the shared words and no other part.
    """

    def may(module: str, name: str) -> bool:
        (kind, _, own), (other, _, part) = module.rpartition("."), name.rpartition(".")
        if kind not in COMBINED or kind != other:
            return False
        words, table, above = COMBINED[kind]
        return own == table or part in words or own in above and part in above | {table}

    wrong = [
        f"{where(module, line)}: imports {name}"
        for module in modules()
        if room(module) == "families" and module != "limner.families"
        for name, line in inside(module)
        if room(name) == "families" and name != module and not may(module, name)
    ]
    assert not wrong, "\n".join(wrong)


def test_only_recipes_name_a_method():
    """Others see the table `limner.families` at most; its methods are chosen by recipes and saved configs alone."""
    wrong = [
        f"{where(module, line)}: imports {name}"
        for module in modules()
        if room(module) not in ("families", "recipes")
        for name, line in inside(module)
        if name.startswith("limner.families.")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", ["limner", "limner.cli", "limner.errors", "limner.config"])
def test_importing_is_quick(module):
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(HOUSE.parent)}
    )
    assert answer.stdout.split() == []


def test_files_are_short():
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in modules().values()}
    assert not {path: count for path, count in lengths.items() if count > LINES_IN_A_FILE}


def test_third_party_imports_are_declared():
    """Whatever is imported is a dependency or in an extra, and each extra that an error names exists."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = [*project["dependencies"], *(one for name in extras for one in extras[name])]
    declared = {re.split(r"[^\w-]", requirement)[0].lower().replace("-", "_") for requirement in listed}
    distribution = {"PIL": "pillow", "sklearn": "scikit_learn", "skimage": "scikit_image"}

    for module in modules():
        for name, line in imports(module):
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and top not in ("limner", ""):
                assert distribution.get(top, top) in declared, f"{where(module, line)}: {top} is not in pyproject.toml"
        for called, node in calls(module):
            if called.endswith("MissingExtra") and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                assert node.args[1].value in extras, f"{where(module, node.lineno)}: no extra {node.args[1].value!r}"


def test_nothing_is_unpickled():
    wrong = []
    for module in modules():
        wrong += [
            where(module, line)
            for name, line in imports(module)
            if name.split(".")[0] in ("pickle", "dill", "joblib", "cloudpickle", "shelve")
        ]
        wrong += [
            where(module, node.lineno)
            for called, node in calls(module)
            if called in ("torch.load", "torch.save")
            or any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords)
        ]
    assert not wrong, "\n".join(wrong)


def test_nothing_draws_from_a_global_generator():
    """Random numbers come from `limner.draws` or from a generator that is named in the call."""
    drawing = "rand|randn|randint|randperm|normal|bernoulli|multinomial|poisson"
    patterns = [
        rf"torch\.({drawing})(_like)?",
        r"(np|numpy)\.random\.(?!default_rng|Generator|SeedSequence|PCG64|Philox)\w+",
        r"random\.(?!Random)\w+",
        r"(nn|F)\.(alpha_|feature_alpha_)?[dD]ropout\w*",
        r".*\.(normal|uniform|random)_",
    ]
    wrong = [
        f"{where(module, node.lineno)}: {called}"
        for module in modules()
        for called, node in calls(module)
        if any(re.fullmatch(pattern, called) for pattern in patterns)
        and not any(keyword.arg == "generator" for keyword in node.keywords)
        and not re.fullmatch(r"(nn\.)?init\.\w+", called)
    ]
    assert not wrong, "\n".join(wrong)


def test_one_place_scales_pixels():
    """Between [0, 255] and [-1, 1] there are two functions, both in `limner.data`."""

    def scales(node: ast.AST) -> bool:
        if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)):
            return False
        left, right = (side.value if isinstance(side, ast.Constant) else None for side in (node.left, node.right))
        if left is not None and right is not None:
            return False  # the width of a grey level, 2 / 255, is a number like any other
        return 127.5 in (left, right) or right == 255 or left == 255 and isinstance(left, float)

    wrong = [
        f"{where(module, node.lineno)}: {ast.unparse(node)}"
        for module in modules()
        if room(module) != "data"
        for node in ast.walk(tree(modules()[module]))
        if scales(node)
    ]
    assert not wrong, "\n".join(wrong)


def test_shipped_weights_are_small_and_have_a_card():
    weights = sorted((HOUSE / "evaluation" / "weights").glob("*.safetensors"))
    assert all(path.stat().st_size < 3_000_000 for path in weights)
    assert all(path.with_suffix(".md").is_file() for path in weights)


def test_rules_are_not_switched_off():
    """A `noqa` names its rule; docstrings (but of a Protocol's one-line members) and swallowed errors have none."""
    wrong = [
        f"{where(module, number)}: {line.strip()}"
        for module, path in modules().items()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if not line.endswith(": ...  # noqa: D102")
        and re.search(r"#\s*(ruff:|flake8:|noqa(?!: ?[A-Z]+\d+)|noqa:.*\b(E722|S110|S112|D1\d\d))", line)
    ]
    assert not wrong, "\n".join(wrong)


# Written so that this line does not match itself.
FOREIGN = re.compile(r"/wor[k]/|\bshare[d]/(?!data)|py[p]i\.org|python[h]osted|download\.py[t]orch")


def test_the_project_speaks_of_itself():
    """No path of the machine it was written on, no address that only some machine reaches."""
    endings = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".ipynb", ".html", ".css", ".js", ""}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [ROOT / name for name in listed.splitlines() if Path(name).suffix in endings]
    wrong = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        if path.is_file()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if FOREIGN.search(line)
    ]
    assert not wrong, "\n".join(wrong)
