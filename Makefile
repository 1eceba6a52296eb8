# Each target is a line or two; dev/, tests/ and CONTRIBUTING.md document the commands behind them.
export PATH := $(CURDIR)/.bin:$(CURDIR)/.venv/bin:$(PATH)
PYTHON := .venv/bin/python
NAME ?= demo

.PHONY: help setup demo up env status down images load lint format test test-unit test-integration test-e2e bench generate clean

help: ## Show this help
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

setup: ## Install missing prerequisites; quick if there are none
	@dev/bootstrap

demo: setup ## Start a local cluster, install the operator, create a fleet and a run
	@$(PYTHON) -m dev.demo --name $(NAME)

up: setup ## Start the local cluster, Temporal and the model
	@$(PYTHON) -m dev.cluster up --name $(NAME)

env: ## Print export lines: eval "$(make -s env)"
	@$(PYTHON) -m dev.cluster env --name $(NAME)

status: ## Show the running parts of the local cluster
	@$(PYTHON) -m dev.cluster status --name $(NAME)

down: ## Stop the local cluster and delete everything except the caches
	@$(PYTHON) -m dev.cluster down --name $(NAME)

images: setup ## Build the images and load them into the local cluster
	@$(PYTHON) -m dev.cluster images --name $(NAME)

load: setup ## Load an image that buildah or docker built: IMAGE=<reference>
	@$(PYTHON) -m dev.cluster load --image "$(IMAGE)" --name $(NAME)

lint: setup ## Check format, lint rules, types and import layers
	ruff format --check . && ruff check .
	mypy && pyright && lint-imports

format: setup ## Format the code and fix lint errors
	ruff format . && ruff check --fix .

bench: setup ## Run the benchmarks: ARGS=--quick takes two minutes, all take about an hour
	@$(PYTHON) -m bench $(ARGS)

generate: setup ## Generate the CRDs, the CRD chart, the API reference and the page of the AgentRun policy
	$(PYTHON) -m durafleet.api.crd && $(PYTHON) -m dev.plan_page

test: setup ## Run all tests: unit, integration, end to end
	pytest $(ARGS)

test-unit: setup ## Run the tests that need no server; works on any machine
	pytest tests/unit $(ARGS)

test-integration: setup ## Run the tests that need a real API server and Temporal server
	pytest tests/integration $(ARGS)

test-e2e: setup ## Run the tests on the complete local cluster
	pytest tests/e2e $(ARGS)

clean: ## Delete the environment, build artifacts and tool caches from the work tree
	rm -rf .venv .bin dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
