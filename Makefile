# Fresh machine: `make demo` shows the device at work; `make test` runs every check that CI runs.
# Only Python 3.11 and make are needed beforehand.
SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin
FILE ?= cxr_device/examples/phantom_opacity.dcm

.DEFAULT_GOAL := help
.PHONY: help system demo test check docs submission mutation inject fuzz fuzz-intake fuzz-receive bench bench-gpu lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

SYSTEM_PACKAGES := chromium dcmtk dicom3tools graphviz libpango-1.0-0 libpangoft2-1.0-0 \
  openssl orthanc orthanc-dicomweb poppler-utils zzuf
system: ## install the Debian packages that documents and tests need (as root)
	@missing=$$(for p in $(SYSTEM_PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done); \
	if [ -z "$$missing" ]; then exit 0; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  test -e /usr/sbin/policy-rc.d || { no_start=/usr/sbin/policy-rc.d; \
	    printf '#!/bin/sh\nexit 101\n' >$$no_start; chmod +x $$no_start; }; \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; \
	  done=$$?; rm -f $$no_start; exit $$done; \
	else echo "Not root: these Debian packages are missing, what needs them is skipped by name:" $$missing; fi

.venv/base: requirements/base.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/base.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

.venv/dev: .venv/base requirements/dev.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

demo: .venv/base ## set up and read a bundled film (another one: make demo FILE=path.dcm)
	$(BIN)/cxr-device read $(FILE) --out build/demo || test $$? = 3
	@echo; echo "Open build/demo/*/report.html in a browser: the film, the flag, and every check."

check: .venv/dev ## formatting, lint, security lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/bandit -q -ll -r cxr_device validation verification
	$(BIN)/mypy
	$(BIN)/lint-imports

test: system .venv/dev check ## every check that CI runs
	@$(MAKE) --no-print-directory -j2 fuzz-intake fuzz-receive
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term
	$(BIN)/cxr-verify check

docs: system .venv/dev ## HTML documents
	$(BIN)/python -m sphinx -q -W -c docs . build/docs
	@echo "Open build/docs/index.html"

submission: system .venv/dev ## the 510(k) documents as HTML and PDF, one file an attachment
	$(BIN)/cxr-verify submission --out build/submission

mutation: .venv/dev ## try the mutants of every risk control and keep the result
	$(BIN)/cxr-verify mutate --commit

inject: .venv/dev ## inject each hazard into films and keep the detection rates
	$(BIN)/python -m verification.injection

fuzz-intake fuzz-receive: fuzz-%: .venv/dev ## a minute of one fuzzer, guided by coverage
	PYTHONPATH=tests $(BIN)/python tests/fuzz/fuzz_$*.py -max_total_time=60 -verbosity=0

fuzz: system .venv/dev ## attack intake and command for longer, and keep the counts
	PYTHONPATH=tests $(BIN)/python tests/fuzz/campaign.py guided 600
	PYTHONPATH=tests $(BIN)/python tests/fuzz/campaign.py received 600
	PYTHONPATH=tests $(BIN)/python tests/fuzz/campaign.py flipped 2000

bench: .venv/dev ## speed and memory against named peers
	$(BIN)/python -m pytest benchmarks -q

COMPILE := uv pip compile -q --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
  --generate-hashes --no-strip-extras --no-emit-index-url --no-header pyproject.toml
bench-gpu: .venv/dev ## training and scoring on a GPU against its measured peaks
	$(BIN)/python benchmarks/bench_gpu.py
	$(BIN)/python benchmarks/bench_gpu_scoring.py

lock: ## write the hash-pinned locks anew (needs uv)
	$(COMPILE) -o requirements/base.txt
	$(COMPILE) --extra dev -c requirements/constraints.in -c requirements/base.txt -o requirements/dev.txt
	$(COMPILE) --extra node -c requirements/dev.txt -o requirements/node.txt

clean: ## remove what was built
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage*
