# Everything below works on a machine with Python 3.10-3.12, make and a package index.
# the first of these that runs and is a version we support
PYTHON ?= $(shell for p in python3.11 python3.12 python3.10 python3; do \
    $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' >/dev/null 2>&1 && echo $$p && break; done)
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
STAMP  := $(VENV)/.installed
SEED   ?= 0
ARGS   ?=

.PHONY: setup drive world test test-slow oracle soak fuzz stranger golden golden-refresh inspect-study study scale lint bench figures collect train train-little clean

setup: $(STAMP)

# torch first and pinned: a plain `pip install timm` would bring, or replace it by, a CUDA build of several GB.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt torch
	$(PIP) install --quiet -c constraints.txt -e '.[dev,train,bench,export,gym,alpasim]'
	touch $@

drive: $(STAMP)  ## the first drive: SEED=0..., ARGS='link=off' for any override
	$(BIN)/e2e-drive evaluate experiment=first_drive seed=$(SEED) $(ARGS)

world: $(STAMP)  ## the embedded world on port 2000, for any CARLA 0.9.16 client: ARGS='town=Thornby port=3000'
	$(BIN)/e2e-drive world $(ARGS)

# A file at a time on every core: most tests wait for a world of their own.
test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

test-slow: $(STAMP)  ## whole drives: pixels matter, latency matters, nothing is left behind
	$(BIN)/python -m pytest -m slow $(ARGS)

oracle: $(STAMP)  ## the renderer against Embree: 200 random pictures in every town
	$(BIN)/python -m pytest -m slow tests/carla_bridge/test_render_towns.py -s $(ARGS)

soak: $(STAMP)  ## half an hour of simulated traffic and pedestrians in every town (SOAK_MINUTES=30)
	$(BIN)/python -m pytest -m slow tests/conformance/test_soak.py -s $(ARGS)

fuzz: $(STAMP)  ## 100,000 mutated requests and 10,000 mutated subscriptions beside a healthy client
	$(BIN)/python -m pytest -m slow tests/conformance/test_hostile.py -s $(ARGS)

stranger: $(STAMP)  ## a script of plain `import carla`: 50 vehicles, 30 walkers, 7 sensors, 600 ticks in every town
	$(BIN)/python -m pytest -m slow tests/conformance/test_plain_script.py -s $(ARGS)

study: $(STAMP)  ## the headline study: seven policies on four links; ARGS='benchmark.seeds=[0,1,2]'; goes on where it was stopped
	$(BIN)/e2e-drive evaluate benchmark=headline out=outputs/headline $(ARGS)

scale: $(STAMP)  ## benchmarks that are killed half way, worlds that are, Ray and submitit: all to give the same results
	$(PIP) install --quiet -c constraints.txt -e '.[ray,slurm]'
	$(BIN)/python -m pytest -m slow tests/e2e/test_scale.py -s $(ARGS)

GOLDEN := tests/golden
golden: $(STAMP)  ## a shipped drive of 20 s through the stack: fails on any change of what comes out
	$(BIN)/e2e-drive replay mode=golden log=$(GOLDEN)/drive.mcap golden=$(GOLDEN)/reference.json $(ARGS)

# Deliberate: drives anew and takes over what comes out. To keep the drive and take over only what has changed in the
# stack: make golden ARGS=refresh=true
golden-refresh: $(STAMP)
	$(BIN)/e2e-drive evaluate experiment=first_drive out=outputs/golden max_s=20 log_images=jpeg jpeg_quality=50 \
	    video.enabled=false seed=$(SEED)
	mkdir -p $(GOLDEN) && cp outputs/golden/drive.mcap $(GOLDEN)/drive.mcap
	$(MAKE) golden ARGS=refresh=true

inspect-study: $(STAMP)  ## 50 made-up drives with faults put into them: what `inspect` finds of them
	$(BIN)/e2e-drive bench inspect seed=$(SEED) $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(STAMP)  ## every benchmark, one after the other: about half an hour
	for name in scheduler budget link policies fleet bev codecs world replay drive; do $(BIN)/e2e-drive bench $$name || exit; done

figures: $(STAMP)  ## the figures of docs/scheduling.md, from a run of the policies
	$(BIN)/e2e-drive bench policies && cp outputs/bench/policies.svg outputs/bench/placement.svg docs/

collect: $(STAMP)  ## the privileged expert drives and records the training logs
	$(BIN)/e2e-drive collect $(ARGS)

train: $(STAMP)
	$(BIN)/e2e-drive train $(ARGS)

# From nothing to a car that drives: collects in many towns, trains, judges in towns never trained on, drives the first route.
# Stop it whenever you like; the same command goes on. FRAMES and MINUTES (of training) trade time for quality.
FRAMES  ?= 24000
MINUTES ?= 210
train-little: $(STAMP)
	$(BIN)/e2e-drive collect out=outputs/data frames=$(FRAMES) seed=$(SEED)
	$(BIN)/e2e-drive collect out=outputs/test frames=1200 plan.for_tests=true 'plan.towns=[Thornby,Random900]'
	$(BIN)/e2e-drive train experiment=train/little data=outputs/data max_minutes=$(MINUTES) seed=$(SEED)
	$(BIN)/e2e-drive train eval=outputs/train/little/weights data=outputs/test out=outputs/train/little
	$(BIN)/e2e-drive evaluate experiment=first_drive weights=outputs/train/little/weights

clean:
	rm -rf $(VENV) outputs build dist
