# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash -eu -o pipefail
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Nothing that a shell happens to hold may point our tools at another environment.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.PHONY: help
help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

$(UV):
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not on PATH"; echo; \
	  echo "hint: install Python 3.11, or name one: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "==> making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@grep -A100 '^uv==' requirements/platform.txt | sed -E '1,/[^\\]$$/!d' > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt

$(VENV)/.platform: requirements/platform.txt pyproject.toml | $(UV)
	@echo "==> installing the platform (MLflow, Airflow, supervisord, Traefik)"
	@$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/platform.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.platform
	@echo "==> installing what checks and tests need"
	@$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: install
install: $(VENV)/.platform ## install the platform into .venv

.PHONY: demo
demo: $(VENV)/.platform ## train, promote, serve and predict on this machine
	@scripts/demo.sh

.PHONY: demo-sentiment
demo-sentiment: $(VENV)/.platform ## three models that queues connect, one promoted while texts pass (needs RabbitMQ)
	@scripts/demo-sentiment.sh

.PHONY: check
check: $(VENV)/.dev ## style, types, layers, module length (seconds)
	@ruff check
	@ruff format --check
	@mypy
	@mypy --config-file tests/mypy.ini tests benchmarks
	@lint-imports
	@python scripts/size.py
	@python scripts/no_addresses.py

LANES = python tests/lanes

.PHONY: test-unit
test-unit: $(VENV)/.dev ## the tests that start nothing (tests/unit; two minutes)
	@pytest -n logical -q tests/unit

.PHONY: test
test: $(VENV)/.dev ## unit, apiserver, servers, and a smoke of the node (a quarter of an hour, the first time ten minutes more)
	@$(LANES) test

.PHONY: test-node
test-node: $(VENV)/.dev ## the rest of what guards a change, on a Kubernetes node
	@$(LANES) node

.PHONY: guard
guard: $(VENV)/.dev ## test and test-node in one run, and two minutes of nightly
	@$(LANES) guard

.PHONY: test-all
test-all: $(VENV)/.dev ## all lanes, nightly included (an hour and a half)
	@$(LANES) all

.PHONY: bench
bench: $(VENV)/.dev ## what we claim, measured
	@for file in benchmarks/*.py; do echo "==> $$file"; python $$file; done

.PHONY: docs
docs: $(VENV)/.dev ## build the documentation into site/
	@mkdocs build --strict --quiet

.PHONY: charts
charts: $(VENV)/.dev ## write the settings' JSON Schemas and the charts' READMEs and schemas, and check the charts
	@for name in platform serving; do python -m deployer schema $$name > docs/reference/$$name.schema.json; done
	@python -m dags.project.schema
	@python helm/reference.py
	@pytest -q tests/unit/helm tests/apiserver/helm

COMPILE = uv pip compile --quiet pyproject.toml --python-version 3.11 --universal --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make requirements"
# Of an image that has nothing of the command line: the extras alone, without the project's own.
EXTRAS = python -c 'import sys, tomllib; \
  of = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
  print(*(each for name in sys.argv[1:] for each in of[name]), sep="\n")'
COMPILE_EXTRAS = $(subst pyproject.toml,-,$(COMPILE)) -c requirements/dev.txt
.PHONY: requirements
requirements: $(VENV)/.dev ## compile requirements/*.txt anew from pyproject.toml
	@$(COMPILE) --extra platform --extra build --extra dev -o requirements/dev.txt
	@$(COMPILE) --extra platform --extra build -c requirements/dev.txt -o requirements/platform.txt
	@$(COMPILE) --extra deployer --extra kubernetes -c requirements/dev.txt -o requirements/deployer.txt
	@$(EXTRAS) serving | $(COMPILE_EXTRAS) -o requirements/serving.txt
	@$(EXTRAS) serving image-models | $(COMPILE_EXTRAS) -o requirements/models.txt
	@$(EXTRAS) image-mlflow | $(COMPILE_EXTRAS) -o requirements/mlflow.txt
	@$(EXTRAS) image-airflow | $(COMPILE_EXTRAS) -o requirements/airflow.txt
	@$(EXTRAS) seldon | $(subst pyproject.toml,-,$(COMPILE)) -o requirements/seldon.txt

.PHONY: down
down: ## stop the demo's platform
	@SCHNITZEL_HOME=$${SCHNITZEL_HOME:-$$HOME/.local/state/schnitzel-demo} $(BIN)/schnitzel down

.PHONY: images images-push
images: $(UV) ## build the images (IMAGES= BUILDER=docker|buildah REGISTRY= TAG= BASE= PYTHON_MINOR= CA_BUNDLE= PIP_CONF=)
	@python images/build.py $(IMAGES)

images-push: $(UV) ## the same, and push them to REGISTRY
	@python images/build.py --push $(IMAGES)

TESTCLUSTER = $(BIN)/python k8s/testcluster
.PHONY: cluster cluster-down cluster-status
cluster: $(VENV)/.dev ## bring up a Kubernetes node for the tests (root, Debian 12, Go)
	@scripts/system-packages.sh cluster
	@$(TESTCLUSTER) up

cluster-down: ## remove that node and all that it left
	@$(TESTCLUSTER) down

cluster-status: ## say what runs of it, and where
	@$(TESTCLUSTER) status

.PHONY: kind kind-down
kind: ## the same for people with Docker: a kind cluster with a gateway and a registry
	@k8s/kind.sh up

kind-down: ## remove the kind cluster
	@k8s/kind.sh down

.PHONY: clean
clean: ## remove what was built here (not the cache, not any platform's home)
	@rm -rf $(VENV) .tests site dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
