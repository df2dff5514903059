# Two commands matter: `make walkthrough` and `make test`. Both make their own environment first.
# Only what GNU make 3.81 (macOS) knows is used here.

PYTHON      ?= python3
VENV        ?= .venv
OUT         ?= walkthrough
PYTEST_ARGS ?=
REPOSITORY  ?=

BIN       := $(VENV)/bin
STAMP     := $(VENV)/.sdbnn-lite-installed
NOTEBOOKS := $(sort $(wildcard notebooks/[0-9][0-9]_*.ipynb notebooks/solutions/*.ipynb))

# nbval runs every notebook cell again and compares its text; with SDBNN_DATA set, 05 and 06 say more, and only have to
# run (`-p sdbnn_lite.pages.chain`).
NBVAL := -p sdbnn_lite.pages.chain --nbval --nbval-current-env --nbval-cell-timeout=600 \
         --nbval-sanitize-with tests/nbval_sanitize.cfg

.DEFAULT_GOAL := help
.PHONY: help venv walkthrough lab test notebooks figures readme site mutants fuzz kills stranger lint release-check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile
	@echo "Variables: PYTHON=$(PYTHON)  VENV=$(VENV)  OUT=$(OUT)  PYTEST_ARGS=$(PYTEST_ARGS)  REPOSITORY=$(REPOSITORY)"

venv: $(STAMP) ## make the virtual environment in VENV and install everything into it

# pip is asked for, not only python: an interrupted first run leaves an environment without it.
$(STAMP): pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON) was not found: install Python 3.10 or newer, or name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "$(PYTHON) is older than 3.10: name a newer one, for example make PYTHON=python3.12 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null || { echo "$(PYTHON) can't make virtual environments: install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@"$(BIN)/python" -m pip --version >/dev/null 2>&1 || "$(PYTHON)" -m venv "$(VENV)"
	@echo "Installing into $(VENV) (PyTorch is large: this takes a few minutes the first time)"
	"$(BIN)/python" -m pip install -e '.[notebooks,test]'
	@touch "$@"

walkthrough: venv ## run the whole notebook chain on the embedded images, draw the figures
	"$(BIN)/sdbnn-lite" walkthrough --out "$(OUT)"
	@echo
	@echo "Done. Executed notebooks and figures are in $(OUT)/."
	@echo "Next: make lab opens notebooks/00_start_here.ipynb, where you can move the sliders yourself."

lab: venv ## open the chain in JupyterLab, at its first notebook
	"$(BIN)/python" -m jupyterlab notebooks/00_start_here.ipynb

test: venv ## run every test, and every notebook cell against its committed output
	"$(BIN)/python" -m pytest -n 2 --dist loadfile tests $(NOTEBOOKS) $(NBVAL) $(PYTEST_ARGS)

notebooks: venv ## execute the notebooks in place and make their solutions, for committing
	"$(BIN)/python" -m sdbnn_lite.pages.chain
	"$(BIN)/python" -m sdbnn_lite.pages.solutions

figures: venv ## draw figures/ again from the committed results
	"$(BIN)/sdbnn-lite" figures --out figures

readme: venv ## fill the tables in README.md and docs/ again from the committed results
	"$(BIN)/python" -m sdbnn_lite.pages.readme

site: venv ## write static pages into site/, readable without a network; REPOSITORY=OWNER/NAME: links to Colab and Binder
	"$(BIN)/python" -m sdbnn_lite.pages.site --out site --repository "$(REPOSITORY)"

mutants: venv ## put faults into a copy of the package, one by one; a test has to notice each
	"$(BIN)/python" tests/mutants/run.py

fuzz: venv ## damage every kind of file in thousands of ways: none may be read as another; FUZZ="--seed 1 --each 100"
	OMP_NUM_THREADS=1 "$(BIN)/python" tests/fuzz/fuzz.py $(FUZZ)

kills: venv ## kill fifty trainings at random moments; each has to resume to the same bytes
	"$(BIN)/python" tests/kills/run.py

stranger: ## a clone, the oldest versions of all packages, a wheel elsewhere: what the README says, as a stranger would
	"$(PYTHON)" tests/stranger/run.py

lint: venv ## check the style of code and notebooks, docstrings, and types
	"$(BIN)/python" -m ruff check .
	"$(BIN)/python" -m mypy

release-check: venv ## build wheel and sdist, look into both, use the wheel in an empty environment; see CONTRIBUTING.md
	"$(BIN)/python" -m pip install -q -e '.[release]'
	"$(BIN)/python" tests/release/check.py

clean: ## remove caches, build leftovers and site/; keeps VENV, runs and data
	rm -rf build dist site browser-failures *.egg-info .pytest_cache .ruff_cache .hypothesis notebooks/.ipynb_checkpoints
	find sdbnn_lite tests -name __pycache__ -type d -prune -exec rm -rf {} +
