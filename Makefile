# `make` alone lists the targets.
VENV ?= .venv
LOCK := requirements.lock
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin

# The first interpreter on the PATH that runs and is new enough; `make PYTHON=/path/to/python3.12` chooses another.
PYTHON ?= $(shell for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then echo $$candidate; break; fi; done)

# Three processes keep two cores busy, for real servers are waited for; a file's tests stay together, for they share a
# stack. Those that take longest begin first (tests/conftest.py).
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# Words for the program behind a target, e.g. `make demo ARGS="--scenario switch"`, `make test ARGS=tests/unit`.
ARGS ?=

# The PostgreSQL of `make schemas-on`.
PG ?= 15

# Without bytecode every process compiles all of the code once more.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo up test check schemas-on dist audit openapi fuzz-api fuzz-signals chaos model orders histories screenshots format lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## Watch three customer environments move on real servers; ends by itself
	$(BIN)/sb-transfer demo $(ARGS)

up: $(STAMP) ## Run the stack and the worker until Ctrl-C; data stays in .sb-transfer/
	$(BIN)/sb-transfer up $(ARGS)

test: $(STAMP) ## Run the tests
	$(PYTEST) $(ARGS)

# The rules S of ruff are bandit's (pyproject.toml says which are off, and why); tests/unit/project/test_secrets.py looks for secrets in what is checked in.
check: $(STAMP) ## Run everything that CI runs: format, lint, types, import rules, dependencies, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.tools.audit --if-possible
	$(PYTEST) $(ARGS)

schemas-on: $(STAMP) ## Move the schemas of other people on another PostgreSQL: PG=14 to 17; fetched when it is not here
	TEST_POSTGRES=$(PG) $(PYTEST) tests/integration/schemas $(ARGS)

dist: $(STAMP) ## Build what is released into dist/: both wheels, the image's context, an SBOM; the version is the tag's
	$(BIN)/python -m tests.tools.dist

audit: $(STAMP) ## Look the pinned dependencies up in the lists of known vulnerabilities
	$(BIN)/python -m tests.tools.audit

openapi: $(STAMP) ## Write the description of the HTTP API to docs/openapi.json; a test compares it
	$(BIN)/python -m starter.api.write_openapi > docs/openapi.json.new
	mv docs/openapi.json.new docs/openapi.json

fuzz-api: $(STAMP) ## Send the HTTP API thousands of requests that its description allows, and that it does not; ten minutes
	$(BIN)/python -m tests.end_to_end.starter.api.fuzz $(ARGS)

# `make check` searches the small sizes; this the large ones as well.
model: $(STAMP) ## Search every order of events in the model, and see that flaws are found; takes minutes
	$(BIN)/python -m model.checker

fuzz-signals: $(STAMP) ## Send 10,000 malformed signals, updates, queries and starts; two minutes; ARGS="--count 500"
	$(BIN)/python -m tests.workflows.fuzz_signals $(ARGS)

chaos: $(STAMP) ## Kill every server at every step of a transfer: all faults, about a quarter of an hour; ARGS="--only 'worker killed'"
	$(BIN)/python -m tests.chaos $(ARGS)

orders: $(STAMP) ## Drive the real workflow through 10,000 steps in any order; takes ten minutes; ARGS="--steps 500"
	$(BIN)/python -m tests.workflows.orders $(ARGS)

screenshots: $(STAMP) ## Take the pictures in docs/ of the Temporal UI again
	$(BIN)/python -m tests.browser.screenshots

histories: $(STAMP) ## Record the histories that the replay tests play back; docs/deploys.md says when
	$(BIN)/python -m tests.replay.record

format: $(STAMP) ## Format the code and repair what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Isolated from this machine's package sources, so that every hash is of a file that everybody gets.
PIP_COMPILE := env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL -u PIP_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --no-config --upgrade --generate-hashes \
	--allow-unsafe --strip-extras --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
GENERATORS := tests/tools/generators

lock: $(STAMP) ## Pin the newest dependencies, with hashes, in requirements.lock
	$(PIP_COMPILE) --build-deps-for editable --extra api --extra devstack --extra dev --output-file $(LOCK) pyproject.toml
	$(PIP_COMPILE) --output-file $(GENERATORS)/requirements.lock $(GENERATORS)/requirements.in
	cd $(GENERATORS) && npm update --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund

clean: ## Remove the virtual environment, builds and caches; data in .sb-transfer/ stays
	rm -rf $(VENV) .tools build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Everything is pinned by hash; the project itself is built with the pinned setuptools, so nothing else is fetched.
$(STAMP): $(LOCK) pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is needed and none is on the PATH. Install it, or: make PYTHON=/path/to/python3" >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed; $(PYTHON) is {sys.version.split()[0]}. Choose another: make PYTHON=/path/to/python3")'
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(LOCK)
	$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable . --editable ./client
	@touch $@
