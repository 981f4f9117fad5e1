# Everything a developer or CI calls. `make demo` and `make test` set up what they need.
PYTHON ?= python3
BIN := .venv/bin
LOCK := constraints/py311.txt
EXTRAS := --extra cpu --extra gpu --extra demo --extra desktop --extra training --extra export --extra dev

.PHONY: demo test test-all check python libraries bench golden lock wheel demo-bundle clean
.NOTPARALLEL:

demo: .venv/.runtime
	$(BIN)/sfedge demo --out out

test: libraries .venv/.dev check
	$(BIN)/python -m pytest -m "not slow"

test-all: libraries .venv/.dev check
	$(BIN)/python -m pytest

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell sfedge training export desktop benchmarks docs README.md CHANGELOG.md CONTRIBUTING.md

# Measures the figures of docs/performance.md again; needs an otherwise idle machine.
bench: .venv/.dev
	$(BIN)/python -m benchmarks.stages
	$(BIN)/python -m benchmarks.detectors
	$(BIN)/python -m benchmarks.tracking

# The environment's, or what it will be made with; the pinned versions begin at 3.11.
OUR_PYTHON = $(firstword $(wildcard $(BIN)/python) $(PYTHON))
OLD := import sys; sys.version_info < (3, 11) and sys.exit( \
  "Python 3.11 or newer is needed, %s is %d.%d. Run: rm -rf .venv && make $(MAKECMDGOALS) " \
  "PYTHON=python3.11" % (sys.executable, *sys.version_info[:2]))
python:
	@$(OUR_PYTHON) -c '$(OLD)'

# What the tests need of the system: installed where that may be, else named before all else.
libraries: python
	@PYTHONPATH=. $(OUR_PYTHON) tests/install_libraries.py

# The runtime alone: no torch.
.venv/.runtime: pyproject.toml $(LOCK) | python
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(LOCK) -e ".[cpu,demo]"
	touch $@

# All parts, with what tests them (about 7 GB, mostly CUDA libraries that torch brings).
.venv/.dev: .venv/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(LOCK) -e ".[dev]"
	touch $@

# Versions are pinned without index addresses; 3.10 (JetPack 6) is resolved, not run.
lock: .venv/.dev
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 $(EXTRAS) \
	  --no-header --no-annotate --quiet -c constraints/held.txt -o $(LOCK)
	$(BIN)/uv pip compile pyproject.toml --python-version 3.10 --python-platform x86_64-manylinux_2_28 \
	  --extra cpu --no-header --no-annotate --quiet -o constraints/py310-x86_64.txt
	$(BIN)/uv pip compile pyproject.toml --python-version 3.10 --python-platform aarch64-manylinux_2_28 \
	  --extra cpu --no-header --no-annotate --quiet -o constraints/py310-aarch64.txt

wheel: .venv/.dev
	$(BIN)/python -m pip wheel --quiet --no-deps -w dist .

# Records of the package's own bundle, named for it, that the tests read; after a change of either.
golden: .venv/.dev
	PYTHONPATH=tests $(BIN)/python tests/golden.py

# Rebuilds the demo model from nothing: drawings, pre-training, recipe, export (an hour on 2 cores).
DRAWN := --gaze-weight 10 --learning-rate 0.001 --warmup 150 --epochs 1 --no-augment --workers 1
demo-bundle: .venv/.dev
	$(BIN)/sfedge-train draw runs/drawings --seed 1 --count 12000
	$(BIN)/sfedge-train pretrain runs/drawings --out runs/tiny-parts $(DRAWN) \
	  --encoder-epochs 4
	$(BIN)/sfedge-train train runs/drawings --out runs/tiny $(DRAWN) \
	  --pretrained runs/tiny-parts/model
	$(BIN)/sfedge-export runs/tiny/model --out sfedge/bundles/tiny.zip --name "sfedge demo" \
	  --precision fp32

clean:
	rm -rf .venv build dist *.egg-info out
