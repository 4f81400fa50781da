# Two verbs do everything on a fresh machine with Python 3.11, 3.12 or 3.13:
#
#   make run            make .venv, install, start a three-node cluster (PORT=2181 DIR=.coord)
#   make test           make .venv, install, run every test; names what it skipped and why
#
# For developers:
#
#   make check          format, lint, types, import rules, fast tests
#   make lint types     one of them;  make format  rewrites
#   make sim            the night's simulation: corpus, 5,000 new schedules, lines executed,
#                       planted bugs; half an hour. make sim SCHEDULES=500: a part of it
#   make sim SEED=17    replay one simulated cluster;  make sim PLAN=FILE  the plans of a file
#   make campaign LEDGER=FILE
#                       a longer search (TOTAL=100000 schedules), which goes on where it stopped
#   make crash          5,200 crash images of the real store, 102 of them served, and the controls;
#                       needs gcc and root (IMAGES=… SERVED=…)
#   make damage         files of one node damaged at random: 1,000 trials (TRIALS=… SEED=…)
#   make jepsen         break real clusters in twelve ways, 30 s each, and judge what they did
#   make jepsen-ci      six of them, shorter, with several faults at once: four minutes
#   make jepsen-campaign
#                       ten workloads, twelve faults on 3 and 5 nodes, hours; goes on where it stopped
#   make http-api       the HTTP API against its own OpenAPI description, EXAMPLES=100 each, drawn
#   make zk-differential
#                       SEQUENCES=2000 drawn from SEED=1 play against a real ZooKeeper as well
#   make node-client    the ZooKeeper client for Node.js that the tests run (needs npm)
#   make bench          ZooKeeper, etcd and coord compared, 35 minutes; writes docs/performance.md
#                       BENCH='--quick' or other options of bench/run.py: shows only what they say
#   make bench-deps     Debian, root: ZooKeeper, etcd and what their load generators need
#   make image          the container image coord:local (BASE=python:3.12-slim-bookworm)
#   make base-image     Debian, root: a base for it where none can be pulled (coord-base:bookworm)
#   make demo-image     the same for the demo's HAProxy (HAPROXY_IMAGE=coord-haproxy:bookworm)
#   make compose-test   the cluster of docker-compose.yml is killed, cut off, wiped and restarted
#   make docs           the documentation site, in build/site
#   make system-deps    Debian, root: what any suite needs from the system
#   make clean          everything a target above has made
#
# PYTHON=python3.12 chooses the interpreter, VENV=dir where its environment lives.

USABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c '$(USABLE)' >/dev/null 2>&1 && { echo "$$p"; exit; }; done; echo python3)
VENV ?= .venv
PORT ?= 2181
DIR ?= .coord
WORKERS ?= 2
SEED ?=
PLAN ?=
SCHEDULES ?= 5000
LEDGER ?= docs/campaigns/ledger.jsonl
TOTAL ?= 100000
IMAGES ?= 5200
SERVED ?= 102
TRIALS ?= 1000
SEQUENCES ?= 2000
EXAMPLES ?= 100

BIN := $(VENV)/bin
MADE := $(VENV)/.made-with-$(subst /,_,$(PYTHON))
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
INSTALL := $(BIN)/python -m pip install --quiet

.DEFAULT_GOAL := help
.PHONY: help docs run test check lint types format imports fast-test sim campaign crash damage \
	jepsen jepsen-ci jepsen-campaign http-api zk-differential bench \
	bench-deps node-client system-deps clean \
	image base-image demo-image compose-test

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

# --- environments -------------------------------------------------------------------------------

$(MADE):
	@$(PYTHON) -c '$(USABLE)' || { echo "coord needs Python 3.11 to 3.13; \
	name one with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { echo "the venv module is missing; \
	on Debian: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

$(VENV)/.has-server: $(MADE) pyproject.toml constraints.txt
	@echo "installing coord into $(VENV)"
	@$(INSTALL) -e '.[server,cli]'
	@touch $@

$(VENV)/.has-docs: $(MADE) pyproject.toml constraints.txt
	@echo "installing what the documentation site needs into $(VENV)"
	@$(INSTALL) -e '.[docs]'
	@touch $@

$(VENV)/.has-test: $(MADE) pyproject.toml constraints.txt
	@echo "installing coord and its test tools into $(VENV)"
	@$(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/.has-server

# Node's ZooKeeper client goes beside the Python packages: nothing of it enters the tree.
NODE_CLIENT := node-zookeeper-client@1.1.3
$(VENV)/.has-$(NODE_CLIENT): $(MADE)
	@npm install --silent --prefix $(VENV) --no-save --no-package-lock $(NODE_CLIENT) \
	  && touch $@ || echo "$(NODE_CLIENT) is not installed: its tests are skipped" >&2

# --- verbs --------------------------------------------------------------------------------------

run: $(VENV)/.has-server
	@exec $(BIN)/coord dev --port $(PORT) --dir $(DIR)

test: $(VENV)/.has-test $(if $(shell command -v npm),node-client)
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup

fast-test: $(VENV)/.has-test
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m 'not integration and not slow'

check: lint types fast-test

lint: $(VENV)/.has-test
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache

types: $(VENV)/.has-test
	@$(BIN)/mypy

format: $(VENV)/.has-test
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

node-client: $(VENV)/.has-$(NODE_CLIENT)

docs: $(VENV)/.has-docs
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/site && echo build/site/index.html

sim: $(VENV)/.has-test
	@$(BIN)/python -m $(if $(SEED)$(PLAN),tests.sim $(if $(PLAN),--plan $(PLAN),--seed $(SEED)),\
	  tests.sim.nightly --schedules $(SCHEDULES) --workers $(WORKERS))

campaign: $(VENV)/.has-test
	@$(BIN)/python -m tests.sim.campaign --ledger $(LEDGER) --total $(TOTAL) --workers $(WORKERS)

crash: $(VENV)/.has-test
	@$(BIN)/python -m tests.crash --images $(IMAGES) --serve $(SERVED)
	@$(BIN)/python -m tests.crash --controls

damage: $(VENV)/.has-test
	@$(BIN)/python -m tests.corruption --trials $(TRIALS) $(if $(SEED),--seed $(SEED))

jepsen: $(VENV)/.has-test
	@rm -f jepsen-runs/small.jsonl
	@$(BIN)/python -m jepsen_lite matrix --small --time 30 --ok 1000 --again 1 \
	  --ledger jepsen-runs/small.jsonl

# Lasts until enough was done: longer on a slow machine. What still is unknown then is a failure.
http-api: $(VENV)/.has-test
	COORD_HTTP_API_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -q tests/http_api/test_openapi.py

jepsen-ci: $(VENV)/.has-test
	@rm -f jepsen-runs/ci.jsonl
	@$(BIN)/python -m jepsen_lite matrix --ci --time 15 --ok 1000 --rate 200 --again 2 \
	  --lasts 2.5 --rests 2.5 --ledger jepsen-runs/ci.jsonl

jepsen-campaign: $(VENV)/.has-test
	@$(BIN)/python -m jepsen_lite matrix --campaign --nodes 3,5 --time 60 --ok 500 --again 1 \
	  --rate 300 --parallel $(WORKERS) \
	  --ledger docs/campaigns/jepsen.jsonl

zk-differential: $(VENV)/.has-test
	@$(BIN)/python -m tests.differential --sequences $(SEQUENCES) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/.has-server
	@$(BIN)/python -m bench.run $(or $(BENCH),--json docs/performance.json --docs)

BASE ?= python:3.12-slim-bookworm
IMAGE ?= coord:local
image: $(MADE)
	@deploy/wheels.sh $(BASE) $(BIN)/python
	@docker build --quiet --build-arg BASE=$(BASE) --tag $(IMAGE) .

base-image:
	@deploy/base-image.sh

demo-image:
	@deploy/base-image.sh coord-haproxy:bookworm bookworm haproxy

compose-test: $(VENV)/.has-test image
	@$(BIN)/python -m tests.compose

bench-deps:
	apt-get update -qq && apt-get install -qq -y --no-install-recommends gcc libc6-dev \
	  zookeeper default-jre-headless etcd-server golang-go golang-etcd-server-dev

# Installs only what is missing, so that a machine which has everything needs no network.
SYSTEM_TOOLS := gcc:gcc strace:strace curl:curl jq:jq java:default-jre-headless javac:default-jdk-headless \
	go:golang-go node:nodejs npm:npm chromium:chromium promtool:prometheus \
	systemd-analyze:systemd
SYSTEM_FILES := /usr/share/java/zookeeper.jar:libzookeeper-java \
	/usr/share/java/curator-recipes.jar:libcurator-recipes-java \
	/usr/include/zookeeper/zookeeper.h:libzookeeper-mt-dev \
	/usr/share/gocode/src/github.com/samuel/go-zookeeper:golang-github-samuel-go-zookeeper-dev
system-deps:
	@missing=; for pair in $(SYSTEM_TOOLS); do \
	  command -v "$${pair%%:*}" >/dev/null || missing="$$missing $${pair##*:}"; done; \
	for pair in $(SYSTEM_FILES); do \
	  [ -e "$${pair%%:*}" ] || missing="$$missing $${pair##*:}"; done; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	[ -f /usr/include/stdio.h ] || missing="$$missing libc6-dev"; \
	[ -z "$$missing" ] && { echo "system-deps: all there"; exit 0; }; \
	apt-get update -qq && apt-get install -qq -y --no-install-recommends $$missing

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .sim bench/bin
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
