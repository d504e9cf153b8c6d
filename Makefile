# Every target creates what it needs by itself; a second run works offline.
PYTHON ?= python3
# Another PYTHON gets a venv of its own, so that `make test PYTHON=python3.13` leaves .venv alone.
VENV   ?= $(if $(filter python3,$(PYTHON)),.venv,.venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
HOST ?= 127.0.0.1
PORT ?= 9001
SHARDS ?= auto
ADMIN_PORT ?= 9002
APP ?= examples.demo:server

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# HOST is `make run`'s address with a default; for a load test only a given one counts.
LOADED := $(if $(filter command,$(origin HOST)),--host $(HOST))
SOURCES := shardws supervisor tests loadtests benchmarks examples tools docs/conf.py
# The extension is built by the editable install: its source is a reason to install again.
INPUTS := pyproject.toml $(wildcard shardws/_*.[ch] shardws/protocol/_*.[ch] shardws/net/pump/*.[ch] shardws/routing/_links*.[ch])

run: $(VENV)/.run  ## serve the demo: HOST= PORT= SHARDS= ADMIN_PORT= APP=
	$(BIN)/shardws run $(APP) --local-host $(HOST) --local-port $(PORT) --shards $(SHARDS) \
		--admin 127.0.0.1:$(ADMIN_PORT)

test: $(VENV)/.test  ## the whole test suite; PYTEST= passes options, SHARDWS_CODEC=python the other codec
	$(BIN)/python -m pytest $(PYTEST)

check: format-check lint types layers test pages-check docs  ## all gates

format: $(VENV)/.check  ## rewrite in the house format
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix-only $(SOURCES)

format-check: $(VENV)/.check
	$(BIN)/ruff format --check $(SOURCES)

lint: $(VENV)/.check
	$(BIN)/ruff check $(SOURCES)

types: $(VENV)/.check
	$(BIN)/mypy

layers: $(VENV)/.check  ## upper layers import lower ones
	$(BIN)/lint-imports

compliance: $(VENV)/.test  ## the Autobahn|Testsuite; CASES= passes options (tests/compliance/README.md)
	$(BIN)/python -m tests.compliance.run $(CASES)

pages: $(VENV)/.check  ## write the generated pages of docs/reference
	$(BIN)/python -m tools.render
	$(BIN)/python -m tools.surface

pages-check: $(VENV)/.check  ## compare them with the tables and tests
	$(BIN)/python -m tools.render --check
	$(BIN)/python -m tools.surface --check

docs: $(VENV)/.docs  ## build the documentation site into build/docs; a warning or a broken link is an error
	$(BIN)/sphinx-build -q -n -W --keep-going -b html -d build/docs-cache docs build/docs
	cp build/docs/README.html build/docs/index.html

tls-scan: $(VENV)/.test  ## testssl.sh against the demo, two minutes; SCAN=--write writes docs/reference/tls-scan.txt
	$(BIN)/python -m tools.tls_scan $(SCAN)

sanitize: $(VENV)/.test  ## the C extensions under the address and undefined behaviour sanitizers, in a copy; TESTS= passes options
	$(BIN)/python -m tools.sanitize $(TESTS)

stress: $(VENV)/.test  ## the process tests ten times; COUNT=, PYTEST=
	for i in $$(seq $(or $(COUNT),10)); do \
		$(BIN)/python -m pytest -q tests/processes $(PYTEST) || exit 1; done

load: $(VENV)/.load  ## a short load test of a server of its own, or of HOST=ws://...; LOAD= passes options
	$(BIN)/python -m loadtests.run $(LOADED) $(LOAD)

load-ui: $(VENV)/.load  ## the same with locust's web page on 127.0.0.1:8089
	$(BIN)/python -m loadtests.run --ui $(LOADED) $(LOAD)

bench: $(VENV)/.run contestants  ## this server and others side by side, writes docs/benchmarks.md; FULL=1, BENCH= passes options
	$(BIN)/python -m benchmarks compare --matrix $(if $(FULL),full,default) --write docs \
		--json build/bench/last.json $(BENCH)

bench-quick: $(VENV)/.run contestants  ## the same in under two minutes, writes nothing
	$(BIN)/python -m benchmarks compare --matrix quick $(BENCH)

bench-scaling: $(VENV)/.run  ## cost of shards, links and idle connections, eight minutes; writes docs/topics/scaling.md; BENCH= passes options
	$(BIN)/python -m benchmarks scaling --write docs/topics/scaling.md $(BENCH)

bench-routing: $(VENV)/.run  ## CPU of a send to another shard, against its budget, half a minute; BENCH= passes options
	$(BIN)/python -m benchmarks routing $(BENCH)

bench-check: $(VENV)/.run  ## instructions per message by callgrind against the stored table; UPDATE=1 stores
	$(BIN)/python -m benchmarks check $(if $(UPDATE),--update)

bench-micro: $(VENV)/.test $(VENV)/.load  ## the same paths against the clock, by pytest-benchmark; PYTEST= passes options
	$(BIN)/python -m benchmarks micro $(if $(PYTEST),-- $(PYTEST))

clean:
	rm -rf build dist *.egg-info $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# One venv, three stages; a stamp newer than its inputs means nothing to do, so no network is needed.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(INPUTS) | $(BIN)/python
	$(PIP) install --editable .
	touch $@

$(VENV)/.test: $(INPUTS) | $(BIN)/python
	$(PIP) install --editable '.[test]'
	touch $@ $(VENV)/.run

$(VENV)/.load: $(INPUTS) | $(BIN)/python
	$(PIP) install --editable '.[load]'
	touch $@ $(VENV)/.run

$(VENV)/.check: $(INPUTS) | $(BIN)/python
	$(PIP) install --editable '.[test,check,load]'
	touch $@ $(VENV)/.test $(VENV)/.load $(VENV)/.run

$(VENV)/.docs: $(INPUTS) | $(BIN)/python
	$(PIP) install --editable '.[docs]'
	touch $@ $(VENV)/.run

# The contestants of the benchmark, apart from what we ship and test with.
contestants: .venv-bench/.bench build/bench/js/.bench

.venv-bench/.bench: benchmarks/requirements.txt
	[ -x .venv-bench/bin/python ] || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip --disable-pip-version-check --quiet install -r $<
	touch $@

# Without npm, or when it fails, no stamp is made: those contestants are left out, and named.
build/bench/js/.bench: benchmarks/package.json
	mkdir -p $(@D)
	cp $< $(@D)
	if npm install --prefix $(@D) --no-audit --no-fund --no-package-lock --loglevel=error; \
		then touch $@; else echo 'bench: npm did not install bun and ws'; fi

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

.PHONY: run test check format format-check lint types layers pages pages-check docs compliance tls-scan sanitize stress load load-ui bench bench-quick bench-scaling bench-routing bench-check bench-micro contestants clean help
