# make demo: environment, install, the whole way once.   make test: the same environment, then every test.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
EXTRAS ?= train,report,annotate,transformers,export,midi,panel,test

.PHONY: demo test lint bench clean

demo: $(VENV)/installed
	$(BIN)/buscomp demo

# One worker more than cores: the rig plays in real time and mostly waits. One thread each: they would only fight.
test: $(VENV)/installed lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile

# Figures, not tests: each script prints a table, and takes minutes. One of them: python tests/benchmarks/bench_compressor.py
bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	status=0; for script in tests/benchmarks/bench_*.py tests/benchmarks/campaign_*.py; do \
	    echo "== $$script"; $(BIN)/python $$script || status=1; done; exit $$status

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# torch first, at the pinned version: anything that depends on torch then finds it and fetches no other build.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "buscomp needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info demo
