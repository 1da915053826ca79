# TechnoShare Commentator. `make help` lists what there is.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Everything that is downloaded (MLflow's virtual environment, tools) goes here. A second
# clone is warm when it is given the first one's folder.
COMMENTATOR_CACHE ?= $(CURDIR)/.cache
override COMMENTATOR_CACHE := $(abspath $(COMMENTATOR_CACHE))
export COMMENTATOR_CACHE

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.revision=$(REVISION)
# Named after what is in them, so that a second clone takes the first one's.
TOOLS    := $(COMMENTATOR_CACHE)/tools-$(shell git hash-object internal/tools/go.mod | cut -c1-12)
MLFLOW_PYTHON = $(shell scripts/start_mlflow.sh --python)
# `make lint` vets all packages, with more analyzers and every build tag.
GO_TEST  := go test -vet=off

# A PostgreSQL for one recipe, which ends with it.
WITH_POSTGRES = export POSTGRES_DIR=$$(mktemp -d) && trap 'scripts/postgres.sh --stop; rm -rf "$$POSTGRES_DIR"' EXIT && chmod 711 "$$POSTGRES_DIR"

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9.-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the three programs into bin/
	go build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: mlflow
mlflow: ## Install the pinned MLflow into the cache, once
	@scripts/start_mlflow.sh --install-only

.PHONY: demo
demo: ## Real pages, real MLflow: the main job end to end (DEMO_WAIT=0 ends by itself)
	@scripts/demo.sh

.PHONY: demo-stop
demo-stop: ## End the servers that `make demo` left running
	@scripts/demo.sh --stop

.PHONY: check
check: lint unit ## Lint, unit tests and architecture rules, in under 5 minutes

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## Static checks
	$(TOOLS)/golangci-lint run ./...
	@scripts/check_tree.sh

.PHONY: unit
unit: ## Unit tests, without servers
	$(GO_TEST) ./...

.PHONY: test
test: prepared race servers e2e ## All tests, with the real servers; what CI runs
	@command -v systemd-analyze >/dev/null || echo "Not shown, since systemd-analyze (package systemd) is not installed: that systemd accepts the units of deploy/systemd"

# Two of the targets at a time, each of which has one MLflow at most: a server and its tests wait
# for each other, and leave half of two processors idle. What each prints comes when it has ended.
TWO_AT_ONCE = $(MAKE) -j2 --output-sync=target

.PHONY: prepared
prepared:
	@$(TWO_AT_ONCE) lint mlflow mlflow-3.7.0

.PHONY: mlflow-3.7.0
mlflow-3.7.0:
	@MLFLOW_VERSION=3.7.0 scripts/start_mlflow.sh --install-only

# SQLite's own code, C that was translated to Go, is not instrumented: its memory is none that
# the detector watches, and a test that lives in a database took three times as long. It has no
# generic functions; a package that has some must not be left out, since the linker may take its
# copy of them (of sync.Map's, say) for everybody's.
.PHONY: race
race: ## Unit tests under the race detector, and those that it only makes slow without it
	$(GO_TEST) -race -gcflags=modernc.org/sqlite/lib=-race=false -timeout 20m ./...
	$(GO_TEST) ./internal/retrieval ./internal/pipeline ./internal/evaluation/compare ./internal/render ./internal/retention \
		./cmd/commentator ./collector/mlflowexporter ./collector/mlflowexporter/internal/apply

# A module of its own, which compiles what the programs do not need. The test cache does not
# see the configurations, which lie outside of it.
.PHONY: routing
routing: $(TOOLS)/golangci-lint ## Every configuration of otel-config in a Collector, with other backends and Kafka around it
	cd test/routing && $(TOOLS)/golangci-lint run --allow-serial-runners ./... && $(GO_TEST) -count=1 -timeout 20m ./...

# A module of its own for the same reason.
.PHONY: prometheus
prometheus: $(TOOLS)/golangci-lint ## The alerts' unit tests, and whether real processes expose what rules and pages name
	cd test/prometheus && $(TOOLS)/golangci-lint run --allow-serial-runners ./... && $(GO_TEST) -count=1 -timeout 10m ./...

.PHONY: soak-routing
soak-routing: ## Another backend hangs, then refuses, for OUTAGE each (10m) while jobs come
	cd test/routing && go test -count=1 -timeout 2h -v -run TestDeadBackendDelaysNobody . -outage $(or $(OUTAGE),10m)

.PHONY: servers
servers: mlflow ## All that needs real servers: MLflow, PostgreSQL, Slack's client, other backends, Prometheus; a build of the exporter by ocb
	@$(TWO_AT_ONCE) contract-3.7.0 postgres contract-mlflow contract-postgres routing compare-3.7.0 contract-slack prometheus
	MLFLOW_TEST_PYTHON=$(MLFLOW_PYTHON) $(GO_TEST) -count=1 -timeout 20m -tags realserver -run '^TestReal' \
		./internal/backup ./internal/render ./internal/retention ./internal/doctor ./internal/evaluation/stats ./collector/mlflowexporter ./cmd/otelcol-mlflow

# The halves of the contract over a real server; `race` runs those over the server in memory.
# Of the other packages' tests those that need a real server have names that begin with TestReal.
CONTRACT = $(GO_TEST) -count=1 -timeout 20m -tags realserver -run '.*/^real$$' ./collector/mlflowexporter/internal/apply

.PHONY: contract-mlflow
contract-mlflow: mlflow ## Contract tests against the pinned MLflow
	MLFLOW_TEST_PYTHON=$(MLFLOW_PYTHON) $(CONTRACT)

.PHONY: contract-3.7.0
contract-3.7.0: ## Contract tests against MLflow 3.7.0
	python=$$(MLFLOW_VERSION=3.7.0 scripts/start_mlflow.sh --python) && MLFLOW_TEST_PYTHON=$$python $(CONTRACT)

.PHONY: contract-postgres
contract-postgres: mlflow ## Contract tests against MLflow on PostgreSQL
	$(WITH_POSTGRES) && store=$$(scripts/postgres.sh --database contract) && \
		MLFLOW_TEST_PYTHON=$(MLFLOW_PYTHON) MLFLOW_TEST_STORE=$$store $(CONTRACT) && \
		MLFLOW_TEST_PYTHON=$(MLFLOW_PYTHON) MLFLOW_TEST_STORE=$$store $(GO_TEST) -count=1 -timeout 10m -tags realserver -run '^TestRealPostgreSQLIsRecognised$$' ./internal/doctor

.PHONY: contract-slack
contract-slack: ## The contract of the fake Slack, and the worker, against an emulator that others wrote
	emulator=$$(scripts/slack_emulator.sh --install) && SLACK_TEST_EMULATOR=$$emulator $(GO_TEST) -count=1 -timeout 10m -tags realserver ./test/slackfake

# The same tests as in `unit`, where their databases are SQLite files, and those of several hosts.
.PHONY: postgres
postgres: ## Job database, queue, intake, pipeline and commands on PostgreSQL
	$(WITH_POSTGRES) && store=$$(POSTGRES_FSYNC=off scripts/postgres.sh --database worker) && \
		COMMENTATOR_TEST_DATABASE_URL=$${store/+psycopg2/} $(GO_TEST) -count=1 -timeout 20m \
		./internal/store ./internal/queue ./internal/intake ./internal/pipeline ./internal/migrate ./internal/reconcile ./internal/validate ./cmd/commentator

.PHONY: compare-3.7.0
compare-3.7.0: ## A job by the bridge against the same by MLflow's SDK, on MLflow 3.7.0
	python=$$(MLFLOW_VERSION=3.7.0 scripts/start_mlflow.sh --python) && MLFLOW_TEST_PYTHON=$$python \
		$(GO_TEST) -count=1 -timeout 20m -tags e2e -run '^TestJobLooksAsTheSDKWritesIt$$' ./test/e2e

.PHONY: compat
compat: ## One job on every MLflow version, read back; docs/COMPATIBILITY.md (VERSIONS)
	go run ./test/compat $(if $(VERSIONS),-versions '$(VERSIONS)')
	python=$$(MLFLOW_VERSION=2.22.5 scripts/start_mlflow.sh --python) && MLFLOW_TEST_OLD_PYTHON=$$python \
		$(GO_TEST) -count=1 -tags realserver -run '^TestRealOldMLflowIsNamed$$' ./internal/doctor

.PHONY: e2e
e2e: build mlflow ## Worker, Collector and MLflow together, killed and restarted
	MLFLOW_TEST_PYTHON=$(MLFLOW_PYTHON) $(GO_TEST) -count=1 -p 1 -timeout 30m -tags e2e ./test/...
	DEMO_WAIT=0 scripts/demo.sh

.PHONY: chaos
chaos: build mlflow ## Kill worker, Collector and MLflow while jobs flow, then compare; .bench/chaos.json (JOBS=1000, SEED, KEEP=1)
	go run ./test/chaos -jobs $(or $(JOBS),200) $(if $(SEED),-seed $(SEED)) $(if $(KEEP),-keep)

.PHONY: soak
soak: build mlflow ## The Collector away for OUTAGE (10m) and for an hour of an injected clock, MLflow killed; .bench/soak.json (RATE, DOWN, ONLY)
	go run ./test/chaos soak $(if $(OUTAGE),-outage $(OUTAGE)) $(if $(RATE),-rate $(RATE)) $(if $(DOWN),-down $(DOWN)) $(if $(ONLY),-only $(ONLY)) $(if $(KEEP),-keep)

.PHONY: soak-slack
soak-slack: build ## People write into a Slack that fails while the worker is killed, then every thread is looked at; .bench/slack.json (MESSAGES=1000, KILLS=20, SEED, KEEP=1)
	go run ./test/chaos slack -messages $(or $(MESSAGES),1000) -kills $(or $(KILLS),20) $(if $(SEED),-seed $(SEED)) $(if $(KEEP),-keep)

.PHONY: rehearse
rehearse: build mlflow ## Walk through docs/MIGRATION.md with real servers, from an old deployment and back; .bench/rehearse.md (LINKS, OLD=2.22.5, KEEP=1)
	go run ./test/rehearse $(if $(LINKS),-links $(LINKS)) $(if $(OLD),-old-mlflow $(OLD)) $(if $(KEEP),-keep)

.PHONY: chaos-sensitivity
chaos-sensitivity: mlflow ## Faults are built into the programs on purpose, and chaos has to find each; .bench/chaos-sensitivity.json (JOBS=60, SEED, ONLY)
	go run ./test/chaos -mutations test/chaos/testdata/mutations -jobs $(or $(JOBS),60) $(if $(SEED),-seed $(SEED)) $(if $(ONLY),-only $(ONLY))

.PHONY: bench
bench: ## Benchmarks, alone; raw rounds in .bench/, summary on the screen
	@scripts/bench.sh

.PHONY: bench-bridge
bench-bridge: mlflow ## MLflow's SDK, the floor and the bridge in turn; .bench/bridge.json (ROUNDS, JOBS, STORE)
	go run ./test/bench $(if $(ROUNDS),-rounds $(ROUNDS)) $(if $(JOBS),-jobs $(JOBS)) $(if $(STORE),-store '$(STORE)')

.PHONY: bench-backlog
bench-backlog: mlflow ## 10,000 jobs wait for MLflow and are written; .bench/backlog.json (JOBS, FAKE=1: no real MLflow)
	go run ./test/bench backlog $(if $(JOBS),-jobs $(JOBS)) $(if $(STORE),-store '$(STORE)') $(if $(FAKE),-fake)

.PHONY: bench-traces
bench-traces: mlflow ## Spans a second against the stock otlphttp exporter; .bench/traces.json (ROUNDS, STORE)
	go run ./test/bench traces $(if $(ROUNDS),-rounds $(ROUNDS)) $(if $(STORE),-store '$(STORE)')

.PHONY: bench-ingest
bench-ingest: ## Events into the job database and jobs out of it, SQLite and PostgreSQL; .bench/ingest.json (ROUNDS, JOBS)
	$(WITH_POSTGRES) && store=$$(scripts/postgres.sh --database ingest) && \
		go run ./test/bench ingest -rounds $(or $(ROUNDS),3) $(if $(JOBS),-jobs $(JOBS)) -store "$$store"

.PHONY: bench-worker
bench-worker: mlflow ## What telemetry takes of the worker, off, tracking and tracing; .bench/worker.json (JOBS)
	go run ./test/bench worker $(if $(JOBS),-jobs $(JOBS))

.PHONY: bench-gate
bench-gate: ## How often the evaluation gate is wrong, in 2,000 simulated evaluations a case; .bench/gate.json
	go run ./test/bench gate

.PHONY: bench-retention
bench-retention: mlflow ## 5,000 run rows with artifacts removed, killed in the middle, beside mlflow gc; .bench/retention.json (JOBS)
	go run ./test/bench retention $(if $(JOBS),-jobs $(JOBS))

.PHONY: flat
flat: ## The worker's heap after a thousand and after JOBS (10000) jobs of an instant pipeline
	go test -count=1 -timeout 30m -v -run '^TestMemoryIsFlat$$' ./internal/pipeline -jobs $(or $(JOBS),10000)

.PHONY: generate
generate: ## Write generated files anew: docs/WIRE.md, the OTLP fixtures
	go generate ./...

.PHONY: screenshots
screenshots: ## Take the pictures of the MLflow UI in README and docs/EVALUATION.md (needs chromium)
	@scripts/screenshots.sh

.PHONY: clean
clean: ## Remove what was built; the cache stays
	rm -rf bin .bench .demo

.PHONY: tools-folder
tools-folder:
	@echo $(TOOLS)

$(TOOLS)/%:
	@mkdir -p $(TOOLS)
	cd internal/tools && go build -o $(TOOLS)/ $$(go list tool | grep '/$*$$')
