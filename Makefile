# make demo    train the default generator on handwritten digits, look at its pictures, measure them
# make test    lint, format, types, tests
# make clean   remove the environment and the tools' caches; runs are kept
#
# VENV=DIR     an environment other than .venv        PYTHON=python3.12   the Python that makes it
# BUDGET=2m    how long the demo trains               OUT=demo            where the demo's pictures go

VENV   ?= .venv
BUDGET ?= 2m
OUT    ?= demo
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

# The first Python on the path that runs and is new enough.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

# One thread for each of the two test processes: tests are many and small.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

.PHONY: demo test lint types tests clean
.NOTPARALLEL:

demo: $(VENV)/.installed
	@mkdir -p "$(OUT)"
	$(BIN)/limn train digits --budget $(BUDGET)
	$(BIN)/limn sample latest -n 60 --label all --grid "$(OUT)/digits.png"
	$(BIN)/limn eval latest --data digits
	@echo
	@echo "Pictures:   $(OUT)/digits.png"
	@echo "The run:    the newest folder in runs/ (its README.md is the model card, samples/ has the grids made on the way)"
	@echo
	@echo "What to type next:"
	@echo "  $(BIN)/limn train digits --model dcgan --budget $(BUDGET)      another generator on the same pictures"
	@echo "  $(BIN)/limn data FOLDER                             what Limner sees in your own pictures"
	@echo "  $(BIN)/limn train FOLDER --size 32 --budget 10m     train on them"
	@echo "  $(BIN)/limn models                                  every recipe, with its paper and its numbers"

test: lint types tests

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

tests: $(VENV)/.installed-test
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 --dist worksteal --durations 10

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Limner needs Python 3.11 or newer; none was found on the path." \
		"Install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Limner needs Python 3.11 or newer;" \
		"$(PYTHON) is older or does not run. Name another: make PYTHON=/path/to/python3.12" >&2; exit 2; }
	"$(PYTHON)" -m venv "$(VENV)"

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable .
	@touch "$@"

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[test]'
	@touch "$@" "$(VENV)/.installed"

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
