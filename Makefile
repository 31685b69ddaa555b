# Every target sets up what it needs: a Python of 3.11 or newer with venv and pip is enough.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 4

.PHONY: demo test check format bench bench-parts chaos clean

demo: .venv/run          ## the playground; ARGS="--port 9000 --no-browser"
	$(BIN)/threadbridge demo $(ARGS)

test: .venv/dev          ## all tests; two to a core, as the half of them waits
	$(PYTEST) -n $(WORKERS) --dist worksteal $(ARGS)

check: .venv/dev         ## the inner loop: style, types, quick tests on SQLite
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not slow and not browser and not contract" -k "not postgres" --ignore tests/e2e --ignore tests/chaos $(ARGS)

format: .venv/dev        ## let ruff write the style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev         ## the bridge beside the least program, in one run; ARGS="--quick --json FILE"
	$(BIN)/python -m tests.bench.compare $(ARGS)

bench-parts: .venv/dev   ## rendering, turns and adapters by themselves, each as a ratio to a floor in the same run
	for bench in tests/bench/bench_*.py; do $(BIN)/python $$bench || exit 1; done

chaos: .venv/dev         ## everything that can go wrong, judged; ARGS="--seed 7 --turns 1000 --database sqlite"
	$(BIN)/python -m tests.chaos.run $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/bin/python:
	@echo "Making .venv ..."
	@$(PYTHON) -m venv .venv

.venv/run: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing into .venv what the playground needs (once, a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[demo]"
	touch $@

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing into .venv what the tests need (once, a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@ .venv/run
