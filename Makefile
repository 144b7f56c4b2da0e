# Two commands do everything: `make demo` runs the whole path, `make test` passes the tests.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   ?= demo
PORT   ?= 8000
# On Linux PyPI's torch brings gigabytes of CUDA. For the CPU wheel:
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_ARGS ?=

# Raw files of public logs, if you have them: make paper RAW="--raw trivago=train.csv --raw beibei=Beibei"
RAW ?=

# What the search benchmark trains and builds; its figures go to docs/results/bench.
BENCH ?= bench-work

.PHONY: demo serve test lint paper paper-quick bench bench-full clean

demo: $(VENV)/.installed-demo  ## data → train → export → index → serve → query, in minutes
	$(BIN)/python deploy/demo.py --out $(DEMO) --port $(PORT)

serve:  ## serve what `make demo` released, until Ctrl-C
	@test -f $(DEMO)/releases/CURRENT || { echo "nothing to serve: run 'make demo' first"; exit 2; }
	$(BIN)/csmf-serve --releases $(DEMO)/releases --port $(PORT) --state-dir $(DEMO)/state \
	  --anonymous loopback --redis-url '' --features-url ''

test: $(VENV)/.installed-test lint  ## everything that must hold before a change lands
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "python3 has no venv module: as root, apt-get install python3-venv"; exit 2; }

$(VENV)/.installed-demo: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet $(PIP_ARGS) --editable '.[training,index,service]'
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet $(PIP_ARGS) --editable '.[training,index,service,tracing,loadtests,dev]'
	touch $@ $(VENV)/.installed-demo

paper: $(VENV)/.installed-demo  ## the paper's tables and figures, measured again; hours, goes on after any stop
	$(BIN)/python -m index_builder.layouts --items 4000000 --out docs/results/paper
	$(BIN)/python -m training.paper --out docs/results/paper --work paper $(RAW)

paper-quick: $(VENV)/.installed-demo  ## the same on small logs, in minutes; its page is paper-quick/page/README.md
	$(BIN)/python -m index_builder.layouts --items 100000 --out paper-quick/page
	$(BIN)/python -m training.paper --quick --out paper-quick/page --work paper-quick

bench: $(VENV)/.installed-bench $(BENCH)/releases/CURRENT  ## the search beside its rivals, 1 M items
	$(BIN)/python -m index_builder.bench --releases $(BENCH)/releases --quick --users 40 \
	  --rounds 5 --timed 45 --layout-items 100000 --work $(BENCH)/1m

bench-full: $(VENV)/.installed-bench $(BENCH)/releases/CURRENT  ## all settings at 250,000, growth, 4 M; hours
	$(BIN)/python -m index_builder.bench --releases $(BENCH)/releases --items 250000 --all-variants \
	  --users 32 --rounds 7 --timed 45 --work $(BENCH)/settings
	$(BIN)/python -m index_builder.bench --releases $(BENCH)/releases --items 4000000 --quick --users 40 \
	  --rounds 5 --timed 45 --layout-items 1000000 --work $(BENCH)/4m
	$(BIN)/python -m index_builder.bench growth --releases $(BENCH)/releases --work $(BENCH)/growth
	$(BIN)/python -m index_builder.bench.building --releases $(BENCH)/releases --log $(BENCH)/log \
	  --items 4000000 --rounds 2 --out docs/results || true  # a missed goal is in its page

$(VENV)/.installed-bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet $(PIP_ARGS) --editable '.[training,index]'
	$(BIN)/pip install --quiet --editable '.[bench]' || echo "ScaNN, usearch and voyager are left out"
	$(BIN)/pip install --quiet --editable '.[bench-compiled]' || echo "hnswlib is left out"
	touch $@ $(VENV)/.installed-demo

$(BENCH)/releases/CURRENT: | $(VENV)/.installed-bench
	test -d $(BENCH)/log || $(BIN)/csmf-log simulate --out $(BENCH)/log --name bench \
	  --items 100000 --users 5000 --requests 20000
	$(BIN)/csmf-train --preset plain --log $(BENCH)/log --out $(BENCH)/releases
	$(BIN)/csmf-index --release $(BENCH)/releases/bench-* --log $(BENCH)/log --users 8192 \
	  --exact-below 1000000000 --publish

clean:  ## remove the environment and the artefacts of demo and benchmark
	rm -rf $(VENV) $(DEMO) $(BENCH)
