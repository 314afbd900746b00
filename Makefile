# `make run` and `make test` set everything up themselves: all they need is make and Python >= 3.11.
#   make PYTHON=/path/to/python3.12 test    another interpreter (the first one found is taken otherwise)
#   make run ARGS="sales.csv --task store --target units"    arguments for the command behind a target
#   make UV= run                            pip, even where uv is installed

PYTHON ?=
ARGS ?=
UV ?= $(shell command -v uv 2>/dev/null)
BIN := .venv/bin
PACKAGES := owo $(wildcard theory experiments)

# The fewest packages that do the job, so that a first `make run` is quick. One make installs once: where the
# development environment is there or asked for, `run` uses it too, also under `make -j`.
EXTRAS_run := data
EXTRAS_dev := data,dev
EXTRAS_bench := bench,dev
RUN_NEEDS := $(if $(wildcard .venv/dev.stamp)$(filter-out run,$(MAKECMDGOALS)),.venv/dev.stamp,.venv/run.stamp)

.DEFAULT_GOAL := help
TARGETS := help|run|test|thorough|lint|format$(if $(wildcard benchmarks/__main__.py),|bench)$(if $(wildcard tests/fuzz_files.py),|faults)$(if $(wildcard theory/validate/__main__.py),|validate)$(if $(wildcard experiments/__main__.py),|experiments)$(if $(wildcard notebooks/regenerate.py),|notebooks)|clean
.PHONY: $(subst |, ,$(TARGETS)) FORCE

help:  ## list the targets
	@awk -F ':.*## ' '/^($(TARGETS)):/ { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: $(RUN_NEEDS)  ## stream the shipped data sets through the learners; table here, figures and report in results/
	@$(BIN)/owo run $(ARGS)

test: .venv/dev.stamp  ## run the test suite
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

thorough: .venv/dev.stamp  ## the test suite with every loss beside every law, of which `test` takes a third
	@OWO_THOROUGH=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: .venv/dev.stamp  ## check format, style and types
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy $(PACKAGES)

format: .venv/dev.stamp  ## put the sources into the project's format
	$(BIN)/python -m ruff check --fix-only .
	$(BIN)/python -m ruff format .

ifneq ($(findstring bench,$(TARGETS)),)
bench: .venv/bench.stamp  ## measure speed and memory beside other libraries; table here, page in results/bench/
	@$(BIN)/python -m benchmarks $(ARGS)
endif

ifneq ($(findstring validate,$(TARGETS)),)
validate: .venv/dev.stamp  ## hold every bound against runs of owo; table here, figures and report in results/theory/
	@$(BIN)/python -m theory.validate $(ARGS)
endif

ifneq ($(findstring faults,$(TARGETS)),)
FUZZ ?= 600
faults: .venv/dev.stamp  ## kill, fill up, damage and wear out what tests do for a moment, for an hour; FUZZ=60 for less
	OWO_LONG=1 $(BIN)/python -m pytest -s tests/test_faults.py tests/test_checkpoint.py
	@for kind in parquet arrow ipc csv npy owo toml; do \
	    printf '%s: files read, refused, MiB grown: ' "$$kind"; \
	    PYTHONPATH=. $(BIN)/python tests/fuzz_files.py "$$(mktemp -d)" "$$(date +%s)" $(FUZZ) "$$kind" || exit 1; \
	done
endif

ifneq ($(findstring experiments,$(TARGETS)),)
experiments: .venv/dev.stamp  ## rerun the papers' studies and real data; tables here, figures and report in results/
	@$(BIN)/python -m experiments $(or $(ARGS),all)
endif

ifneq ($(findstring notebooks,$(TARGETS)),)
notebooks: .venv/dev.stamp  ## make the notebooks from their text
	@$(BIN)/python notebooks/regenerate.py
endif

clean:  ## remove the environment, caches and builds; results/ stays
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------------------------------------ environment
# A stamp is renewed when pyproject.toml changes. The environment is made anew when its interpreter is gone or is not
# the one asked for, and when the checkout was moved or copied: it would go on importing from the old place.

UNFIT := $(shell \
    test -x $(BIN)/python || echo gone; \
    test ! -e .venv/home || test "$$(cat .venv/home)" = "$(CURDIR)" || echo moved; \
    test -z "$(PYTHON)" || test "$$("$(PYTHON)" --version 2>&1)" = "$$($(BIN)/python --version 2>&1)" || echo other)
ifneq ($(UNFIT),)
.venv/run.stamp .venv/dev.stamp: FORCE
endif

.venv/%.stamp: pyproject.toml
	@$(if $(UNFIT),$(make-venv))
	@printf '%s\n' "$(CURDIR)" > .venv/home
	@echo "Installing owo[$(EXTRAS_$*)] into .venv: once, about a minute"
	@$(call install,$(AS_A_FOLDER) -e ".[$(EXTRAS_$*)]")
	@touch $@

# The checkout goes on the path itself: with the other form of an editable install, `import owo` in the folder that holds a
# checkout named owo finds that folder, which is no package.
AS_A_FOLDER := --config-settings editable_mode=compat

# The first interpreter that is new enough. uv brings its own installer, so the environment needs no pip then.
define make-venv
for python in $(if $(PYTHON),"$(PYTHON)",python3 python3.14 python3.13 python3.12 python3.11 python); do \
    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; python=; \
done; \
if test -z "$$python"; then \
    echo "owo needs Python 3.11 or newer, but found: $(or $(PYTHON),python3) =" \
        "$$("$(or $(PYTHON),python3)" --version 2>&1)." >&2; \
    echo "Install one, or name one that is there: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; \
elif ! "$$python" -c 'import venv$(if $(UV),,, ensurepip)' 2>/dev/null; then \
    echo "$$python cannot make environments: its module venv or ensurepip is missing." >&2; \
    echo "On Debian and Ubuntu: apt install python3-venv. Or name another: make PYTHON=/path/to/python3 ..." >&2; \
    exit 1; \
fi; \
echo "Making .venv with $$("$$python" --version)"; \
rm -rf .venv && "$$python" -m venv $(if $(UV),--without-pip) .venv
endef

# Neither compiles: the first import of what is used does, in a fraction of the time; so it must be allowed to.
unexport PYTHONDONTWRITEBYTECODE
with-pip = { $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null; } && \
    $(BIN)/python -m pip install --quiet --no-compile --no-input --disable-pip-version-check $(1)
ifneq ($(UV),)
install = "$(UV)" pip install --quiet --python $(BIN)/python $(1) || { echo "uv failed; trying pip"; $(with-pip); }
else
install = $(with-pip)
endif
