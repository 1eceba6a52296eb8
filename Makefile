# Each target is a line or two; what they call is documented where it lives (dev/, tests/, CONTRIBUTING.md).
export PATH := $(CURDIR)/.bin:$(CURDIR)/.venv/bin:$(PATH)
PYTHON := .venv/bin/python
NAME ?= demo

.PHONY: help setup demo up env status down images load lint format test test-unit test-integration test-e2e bench generate clean

help: ## Show this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

setup: ## Install what is missing; quick when nothing is
	@dev/bootstrap

demo: setup ## A cluster, the operator, a fleet and an agent's run, from nothing
	@$(PYTHON) -m dev.demo --name $(NAME)

up: setup ## Start the local cluster, Temporal and the model
	@$(PYTHON) -m dev.cluster up --name $(NAME)

env: ## Print export lines: eval "$(make -s env)"
	@$(PYTHON) -m dev.cluster env --name $(NAME)

status: ## Say what runs
	@$(PYTHON) -m dev.cluster status --name $(NAME)

down: ## End the local cluster and delete all of it but the caches
	@$(PYTHON) -m dev.cluster down --name $(NAME)

images: setup ## Build the images and load them into the local cluster
	@$(PYTHON) -m dev.cluster images --name $(NAME)

load: setup ## Load an image that buildah or docker built: IMAGE=<reference>
	@$(PYTHON) -m dev.cluster load --image "$(IMAGE)" --name $(NAME)

lint: setup ## Format, lint, types, layers
	ruff format --check . && ruff check .
	mypy && pyright && lint-imports

format: setup ## Rewrite the code in the house's format
	ruff format . && ruff check --fix .

bench: setup ## Measure: ARGS=--quick in two minutes, the whole page in about an hour
	@$(PYTHON) -m bench $(ARGS)

generate: setup ## Render CRDs, the CRD chart and the API reference from the models
	$(PYTHON) -m durafleet.api.crd

test: setup ## All tests: unit, integration, end to end
	pytest $(ARGS)

test-unit: setup ## Tests that need no server; any machine
	pytest tests/unit $(ARGS)

test-integration: setup ## Tests on a real API server and a real Temporal
	pytest tests/integration $(ARGS)

test-e2e: setup ## Tests on the whole local cluster
	pytest tests/e2e $(ARGS)

clean: ## Delete what builds leave in the work tree
	rm -rf .venv .bin dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
