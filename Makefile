# Every target sets up what it needs: a Python of 3.11 or newer with venv and pip is enough.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 4
# Compiled once, also where the environment says otherwise: the tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

# What the image installs; after a change: make lock.
IMAGE_EXTRAS := postgres openai a2a mcp otel ops
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --constraint constraints.txt --generate-hashes \
	--no-annotate --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: demo test check format bench bench-parts chaos docs wheel lock image-steps clean

demo: .venv/run          ## the playground; ARGS="--port 9000 --no-browser"
	$(BIN)/threadbridge demo $(ARGS)

test: .venv/dev          ## all tests; two to a core, as the half of them waits
	$(PYTEST) -n $(WORKERS) --dist worksteal $(ARGS)

check: .venv/dev         ## the inner loop: style, types, quick tests on SQLite
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not slow and not browser and not contract" -k "not postgres" --ignore tests/e2e --ignore tests/chaos \
		--hypothesis-profile=quick $(ARGS)

format: .venv/dev        ## let ruff write the style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev         ## the bridge beside the least program, in one run; ARGS="--quick --json FILE"
	$(BIN)/python -m tests.bench.compare $(ARGS)

bench-parts: .venv/dev   ## rendering, turns and adapters by themselves, each as a ratio to a floor in the same run
	for bench in tests/bench/bench_*.py; do $(BIN)/python $$bench || exit 1; done

chaos: .venv/dev         ## everything that can go wrong, judged; ARGS="--seed 7 --turns 1000 --database sqlite"
	$(BIN)/python -m tests.chaos.run $(ARGS)

docs: .venv/docs         ## the pages as a site, in .github/docs/site/; what is made from the code is written anew
	$(BIN)/python -m tests.docs.reference
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html .github/docs .github/docs/site

wheel: .venv/dev         ## the wheel and the source distribution, in dist/
	$(BIN)/python -m hatchling build

lock: .venv/dev          ## versions and hashes of all that the image installs, after a change of what is required
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(LOCK) $(IMAGE_EXTRAS:%=--extra %) --output-file deploy/image/requirements.lock pyproject.toml
	echo hatchling | $(LOCK) --output-file deploy/image/build.lock -

image-steps: .venv/dev   ## the image's own steps without an engine, and what they made as another user with a read-only root
	THREADBRIDGE_IMAGE_STEPS=1 $(PYTEST) tests/deploy/test_image_steps.py $(ARGS)

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .github/docs/site

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

.venv/docs: .venv/dev
	@echo "Installing into .venv what the site is built with ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[docs]"
	touch $@
