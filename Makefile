# `make help` lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
PYTEST_ARGS ?=
BENCH_ARGS ?=
LOCK_ARGS ?=
IMAGE_ARGS ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SETUP := .venv/.setup
WHEEL_VENV := build/wheel-venv
DOCS_VENV := build/docs-venv
DOCS_SETUP := $(DOCS_VENV)/.setup

# protoc sees proto/ under its import path, because the descriptor pool of a process identifies a file
# by its path. Another package could also register "proto/best_exporter.proto".
PROTO_GENERATE = rm -rf build/proto && mkdir -p build/proto && \
  $(BIN)/python -m grpc_tools.protoc -Itfx_best_exporter/proto=proto \
    --python_out=build/proto --pyi_out=build/proto proto/*.proto

.PHONY: help
help:  ## List the targets.
	@grep -hE '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/^([a-z0-9-]+):.*## (.*)/  \1\t\2/' | expand -t 20

# --- environment ----------------------------------------------------------------------------------

.PHONY: setup
setup: $(SETUP)  ## Install requirements.lock and this package into .venv.

# The environment is made without ensurepip, which the Python of some systems lacks. The lock has pip,
# setuptools and wheel, because TFX builds wheels of a pipeline's own modules with them.
$(SETUP): requirements.lock pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; v = sys.version_info; (3, 10) <= v < (3, 14) or sys.exit( \
	  f"PYTHON must be Python 3.10 to 3.13 (got {v[0]}.{v[1]}). Try: make setup PYTHON=python3.11")'
	@echo '[1/4] Virtual environment in .venv'
	@[[ -x $(BIN)/python ]] || $(PYTHON) -m venv --without-pip .venv
	@echo '[2/4] Installers: pip, setuptools, wheel, uv'
	@grep -E '^(pip|setuptools|wheel)==' requirements.lock > .venv/installers.txt
	@$(PIP) --version > /dev/null 2>&1 \
	  || $(PYTHON) -m pip --disable-pip-version-check --python $(BIN)/python \
	    install -qq --no-deps -r .venv/installers.txt \
	  || $(BIN)/python -m ensurepip > /dev/null
	@$(PIP) install -qq --no-deps -r .venv/installers.txt
	@$(PIP) install -qq 'uv>=0.5' 2> /dev/null \
	  || echo 'uv cannot be installed. pip installs the requirements instead, which takes longer.'
	@echo "[3/4] $$(grep -c == requirements.lock) locked requirements. The first time takes minutes."
	@{ [[ -x $(BIN)/uv ]] && \
	    $(BIN)/uv pip install --python $(BIN)/python --no-deps -r requirements.lock; } \
	  || $(PIP) install --no-deps -r requirements.lock 2>&1 | { grep --line-buffered -vE '://|^(Looking in|Ignoring) ' || :; }
	@echo '[4/4] tfx-best-exporter, as an editable install'
	@PYTHONWARNINGS=ignore $(PIP) install --quiet --no-deps --no-index --no-build-isolation --editable .
	@mkdir -p .venv/links/tfx_best_exporter
	@ln -sfn -t .venv/links/tfx_best_exporter ../../../cli ../../../component ../../../executor ../../../proto
	@touch $@
	@echo 'Ready. Next: make demo or make test'

.PHONY: lock
lock: $(SETUP)  ## Update requirements.lock; LOCK_ARGS=--upgrade for newer versions.
	$(BIN)/uv pip compile --quiet --universal --python $(BIN)/python --python-version 3.10 \
	  --extra dev --no-annotate --no-header $(LOCK_ARGS) --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python $(BIN)/python --python-version 3.10 \
	  --group docs --no-annotate --no-header $(LOCK_ARGS) --output-file website/requirements.lock

# --- use ------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(SETUP)  ## Run a pipeline five times and show which models are exported, and why.
	@$(BIN)/python -m pipelines.demo

.PHONY: bench
bench: $(SETUP)  ## Compare speed and memory with other tools: 15 minutes, 10 GiB; BENCH_ARGS="--only publishing" for a part.
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

.PHONY: bench-decisions
bench-decisions: $(SETUP)  ## Simulate the quality of each decision rule: 25 minutes; BENCH_ARGS="--streams 100 --seed 1".
	@$(BIN)/python -m benchmarks.decision_quality $(BENCH_ARGS)
	@$(BIN)/python -m benchmarks.challengers $(BENCH_ARGS)

# --- check ----------------------------------------------------------------------------------------

# The tests sync thousands of small files, which takes minutes on a disk. A file system in memory runs
# the same calls. test-faults, test-e2e and test-wheel use the disk.
IN_MEMORY = root=/dev/shm; [[ -w $$root && $$(df --output=avail -k $$root | tail -1) -ge 4194304 ]] \
  && export PYTEST_DEBUG_TEMPROOT=$${PYTEST_DEBUG_TEMPROOT-$$root} || :

.PHONY: test
test: $(SETUP)  ## Run the tests in two processes; PYTEST_ARGS="-k retention" for some, "-n 0" for one process.
	@$(IN_MEMORY); $(BIN)/python -m pytest --numprocesses=2 $(PYTEST_ARGS)

.PHONY: test-e2e
test-e2e: $(SETUP)  ## Run whole pipelines, and the longer evaluations: 5 minutes.
	@$(BIN)/python -m pytest --numprocesses=2 -m "e2e and not kubeflow" tests $(PYTEST_ARGS)

.PHONY: test-faults
test-faults: $(SETUP)  ## Run the longer series of kills, races and faults: 6 minutes.
	@$(BIN)/python -m pytest --numprocesses=2 -m faults tests $(PYTEST_ARGS)

.PHONY: test-kubeflow
test-kubeflow: $(SETUP)  ## Run the demo's and TFX's taxi pipeline in pods of Kubeflow Pipelines: writes to /minio, 5 minutes.
	@$(BIN)/python -m pytest -m kubeflow tests/e2e/test_kubeflow.py $(PYTEST_ARGS)

.PHONY: test-pipelines
test-pipelines: $(SETUP)  ## Run TFX's example pipelines with BestExporter: 5 minutes.
	@$(BIN)/python -m pytest -m pipelines tests/pipelines $(PYTEST_ARGS)

.PHONY: test-browser
test-browser: $(SETUP) chromium  ## Test the report in Chromium, and write build/screenshots/.
	@$(BIN)/python -m pytest tests/executor/reports/test_report_in_browser.py $(PYTEST_ARGS)

# Without Chromium, the tests of the report in a browser are skipped.
.PHONY: chromium
chromium:
	@command -v chromium chromium-browser > /dev/null || { \
	  as_root=(); ((EUID == 0)) || as_root=(sudo); \
	  "$${as_root[@]}" apt-get update -qq; \
	  "$${as_root[@]}" apt-get install -qq --no-install-recommends chromium > /dev/null; }

.PHONY: test-image
test-image: $(SETUP)  ## Build the images with Debian's buildah and test them: root, minutes, 10 GiB.
	@$(BIN)/python -m tests.image.proof $(IMAGE_ARGS)

.PHONY: check
check: check-lint check-format check-types check-imports check-proto check-lock  ## Run all checks except the tests.

.PHONY: check-lint
check-lint: $(SETUP)
	$(BIN)/ruff check

.PHONY: check-format
check-format: $(SETUP)
	$(BIN)/ruff format --check

.PHONY: check-types
check-types: $(SETUP)
	$(BIN)/pyright

.PHONY: check-imports
check-imports: $(SETUP)
	PYTHONPATH=.venv/links $(BIN)/lint-imports --no-logo

.PHONY: check-proto
check-proto: $(SETUP)
	$(PROTO_GENERATE)
	@for file in $(notdir $(wildcard proto/*_pb2.py proto/*_pb2.pyi)); do \
	  diff -u proto/$$file build/proto/tfx_best_exporter/proto/$$file \
	    || { echo "proto/$$file must equal the code that its .proto generates. Run: make proto"; exit 1; }; \
	done

# This check fails if the lock does not fit pyproject.toml. New releases of packages do not matter.
.PHONY: check-lock
check-lock: $(SETUP)
	$(BIN)/python -m pytest --quiet tests/test_packaging.py

.PHONY: fmt
fmt: $(SETUP)  ## Format the code, and apply the fixes of ruff.
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

# --- make -----------------------------------------------------------------------------------------

# MkDocs has an environment of its own. It has neither TensorFlow nor TFX, so the reference can only
# come from the source.
$(DOCS_SETUP): website/requirements.lock | $(SETUP)
	@rm -rf $(DOCS_VENV)
	@$(BIN)/python -m venv --without-pip $(DOCS_VENV)
	@{ [[ -x $(BIN)/uv ]] && \
	    $(BIN)/uv pip install --quiet --python $(DOCS_VENV)/bin/python --no-deps -r $<; } \
	  || $(PIP) --python $(DOCS_VENV)/bin/python install --quiet --no-deps -r $<
	@touch $@

.PHONY: docs
docs: $(DOCS_SETUP)  ## Build the documents as a site, build/site/index.html, and check its links.
	@NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/python -m mkdocs build --strict --clean
	@$(BIN)/python -m website.check build/site

.PHONY: docs-pages
docs-pages: $(SETUP)  ## Generate docs/cli.md and docs/policy-fields.md.
	@$(BIN)/python -m website.generate

.PHONY: picture
picture: $(SETUP) chromium  ## Make docs/report.png, the picture of a report, again.
	@$(BIN)/python -m tests.docs.picture

.PHONY: proto
proto: $(SETUP)  ## Generate the Python code of proto/*.proto.
	$(PROTO_GENERATE)
	cp build/proto/tfx_best_exporter/proto/*_pb2.py* proto/

.PHONY: wheel
wheel: $(SETUP)  ## Build the wheel into dist/ and check its files.
	@rm -rf build/lib build/bdist.* dist
	$(PIP) wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir dist .
	$(BIN)/python .ci/check_wheel.py dist/*.whl

# The separate environment has the locked packages through a .pth file, but not the editable install.
# The editable install is itself a .pth file, and Python ignores .pth files in directories that a .pth file adds.
.PHONY: test-wheel
test-wheel: wheel  ## Run the tests with the wheel instead of the checkout.
	@rm -rf $(WHEEL_VENV)
	$(BIN)/python -m venv --without-pip $(WHEEL_VENV)
	$(PIP) --python $(WHEEL_VENV)/bin/python install --quiet --no-deps --no-index dist/*.whl
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$($(WHEEL_VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/locked.pth"
	@$(WHEEL_VENV)/bin/python -c 'import sys, tfx_best_exporter as t; \
	  all(path.startswith(sys.prefix) for path in t.__path__) or sys.exit( \
	    f"tfx_best_exporter must come from the wheel (got {list(t.__path__)}).")'
	@$(WHEEL_VENV)/bin/python -m pytest $(PYTEST_ARGS)

.PHONY: clean
clean:  ## Remove the files of all targets, except .venv.
	rm -rf build dist demo_output pipeline_output htmlcov .coverage .coverage.* *.egg-info
	rm -rf .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find cli component executor proto pipelines benchmarks tests website .ci -name __pycache__ -prune \
	  -exec rm -rf {} + 2> /dev/null || :
