# One name per habit; bare `make` lists them. Nothing but Python 3.11+ and make is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# Most tests wait for a broker or for the pace of a stream: three processes on two cores, each with a broker of its own.
TEST_PROCESSES ?= 3
PARALLEL := -n $(TEST_PROCESSES) --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help demo demo-learning test test-serving test-training debian-packages test-fast chaos bench lint fix types layers check schemas clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.created:
	@echo "== creating the virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("streamapp needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.created pyproject.toml constraints.txt
	@echo "== installing streamapp and what it runs on (about 400 MB, pinned in constraints.txt)"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt -e '.[cpu]'
	@$(BIN)/python -c 'import streamapp.cli.main'
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime
	@echo "== installing the development tools"
	@$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[cpu,dev]'
	@touch $@

demo: $(VENV)/.runtime ## Watch a simulated trading day on a real Kafka (about two minutes; DEMO_ARGS=--stay stays up)
	@$(BIN)/streamapp demo $(DEMO_ARGS)

# What training needs is much larger than all the rest, so it is installed only here and for its tests, and said first.
# TORCH_INDEX=https://download.pytorch.org/whl/cpu takes torch's small build for machines without a GPU.
RETRAIN_FREE_GB = $(if $(TORCH_INDEX),3,8)
$(VENV)/.retrain: $(VENV)/.runtime
	@if [ -n "$(TORCH_INDEX)" ]; then \
	  echo "== installing what training needs: about 1 GB, torch from $(TORCH_INDEX)"; \
	else \
	  echo "== installing what training needs: about 6 GB, for the torch of PyPI brings CUDA along"; \
	  echo "   no GPU? make demo-learning TORCH_INDEX=https://download.pytorch.org/whl/cpu: about 1 GB"; \
	fi
	@df -Pk $(VENV) | awk 'NR == 2 { free = $$4 / 1048576; \
	  printf "   %.0f GB are free here, $(RETRAIN_FREE_GB) GB are needed\n", free; exit free < $(RETRAIN_FREE_GB) }'
	@[ -z "$(TORCH_INDEX)" ] || $(BIN)/python -m pip install --disable-pip-version-check --progress-bar on \
	  -c constraints.txt --index-url "$(TORCH_INDEX)" torch
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt -e '.[cpu,retrain]'
	@touch $@

demo-learning: $(VENV)/.retrain ## Watch labels become a better model that a worker swaps in (minutes; installs torch, about 6 GB)
	@$(BIN)/streamapp demo-learning $(DEMO_ARGS)

test: test-serving test-training ## Run every test, real broker included, training too (under 45 minutes; installs torch, about 6 GB)

test-serving: $(VENV)/.dev debian-packages ## Run the tests of the serving side, real broker included (under 20 minutes)
	@$(PYTEST) $(PARALLEL) -m "not chaos" --ignore tests/unit/retrain/training --ignore tests/retrain_e2e $(TEST_ARGS)

test-training: $(VENV)/.dev $(VENV)/.retrain ## Run the tests of training (installs torch, about 6 GB)
	@$(PYTEST) $(PARALLEL) tests/unit/retrain/training tests/retrain_e2e $(TEST_ARGS)

test-fast: $(VENV)/.dev ## Run the tests that need no broker (under a minute)
	@$(PYTEST) -m "not broker and not chaos and not slow" --ignore tests/unit/retrain/training --ignore tests/retrain_e2e $(TEST_ARGS)

chaos: $(VENV)/.dev ## Run the long fault tests (an hour)
	@$(PYTEST) $(PARALLEL) -m chaos $(TEST_ARGS)

bench: $(VENV)/.dev ## Run the benchmarks and print their tables
	@$(BIN)/streamapp bench pipeline && $(BIN)/streamapp bench transport && $(BIN)/streamapp bench watch

# No service may start by being installed: the tests start their own, on free ports.
debian-packages: ## Install Prometheus, Alertmanager and their check tools (Debian, as root)
	@command -v promtool >/dev/null && command -v amtool >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    had=0; [ -e /usr/sbin/policy-rc.d ] && had=1; \
	    [ $$had = 1 ] || { printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; }; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	      prometheus prometheus-alertmanager; code=$$?; \
	    [ $$had = 1 ] || rm -f /usr/sbin/policy-rc.d; exit $$code; \
	  else echo "promtool and amtool are absent: their tests are skipped (apt-get install prometheus prometheus-alertmanager)"; fi; }

lint: $(VENV)/.dev ## Check style and format
	@$(BIN)/ruff check streamapp retrain tests deploy
	@$(BIN)/ruff format --check streamapp retrain tests deploy

fix: $(VENV)/.dev ## Apply style and format
	@$(BIN)/ruff check --fix streamapp retrain tests deploy
	@$(BIN)/ruff format streamapp retrain tests deploy

types: $(VENV)/.dev ## Check types (mypy strict)
	@$(BIN)/mypy

layers: $(VENV)/.dev ## Check that imports point one way
	@$(BIN)/lint-imports

check: lint types layers ## Everything but the tests

schemas: $(VENV)/.dev ## Write docs/schemas, topics.md, metrics.md and asyncapi.json from the code
	@$(BIN)/python -m streamapp.contracts.schemas docs/schemas
	@$(BIN)/python -m streamapp.contracts.topics_page docs/topics.md
	@$(BIN)/python -m streamapp.metrics_page docs/metrics.md
	@$(BIN)/python -m retrain.metrics_page docs/retrain-metrics.md
	@$(BIN)/python -m streamapp.contracts.asyncapi docs/asyncapi.json

clean: ## Remove the virtual environment and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
