# Every target sets up what it needs: Node >= 20 and npm are all that a machine must have; Go too, for what starts the real server.
SHELL := /bin/bash
.DEFAULT_GOAL := help
NPM := npm --silent
STAMP := node_modules/.fleetwright-stamp

.PHONY: help
help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): package.json package-lock.json $(wildcard packages/*/package.json)
	@command -v npm >/dev/null || { echo "fleetwright: npm not found; install Node 20 or later with npm" >&2; exit 2; }
	@npm ci --include=optional --no-audit --no-fund --loglevel=error
	@node hack/check-node.mjs
	@touch $@

.PHONY: install
install: $(STAMP) ## Install the pinned Node and the libraries

# What the program is made of; the bundle starts in a fraction of the sources' time.
SOURCES := $(shell find packages/*/src examples -type f ! -name '*.test.ts' ! -path '*/testdata/*' 2>/dev/null)
dist/fleetwright.mjs: $(STAMP) $(SOURCES)
	@$(NPM) run bundle >/dev/null

.PHONY: up
up: dist/fleetwright.mjs $(if $(filter real,$(CLUSTER)),kubernetes) ## Start a cluster with a fleet, the manager and workloads (CLUSTER=real: on the real control plane); Ctrl-C stops it
	@exec npm exec --silent -- node dist/fleetwright.mjs up $(if $(CLUSTER),--cluster $(CLUSTER)) $(ARGS)

.PHONY: test
test: $(STAMP) lint ## Everything that must hold: lint, types, generated files, all suites, end to end on the twin
	@$(NPM) run test -- $(ARGS)

.PHONY: test-unit
test-unit: $(STAMP) ## Only the suites that need no cluster
	@$(NPM) run test -- unit external $(ARGS)

.PHONY: test-real
test-real: $(STAMP) kubernetes ## The same end-to-end files on the real server, live conformance, long pauses, thousands of seeds
	@FLEETWRIGHT_LONG=1 $(NPM) run test -- real $(ARGS)
	@FLEETWRIGHT_LONG=1 $(NPM) run test -- twin test/e2e/twin-
	@FLEETWRIGHT_LONG=1 $(NPM) run test -- unit packages/quota/src/simulation
	@FLEETWRIGHT_LONG=1 $(NPM) run test -- simulation

.PHONY: test-node
test-node: $(STAMP) node ## On real nodes: kubelet, containerd, CRIU, in namespaces of their own (root on Linux)
	@$(NPM) run test:node -- $(ARGS)

.PHONY: lint
lint: $(STAMP) ## Format, lint, types, import rules, unused code, generated files
	@failed=0; for each in format:check lint types imports unused generate:check; do $(NPM) run $$each || failed=1; done; exit $$failed

.PHONY: generate
generate: $(STAMP) kubernetes ## Write the generated files afresh
	@$(NPM) run generate

.PHONY: format
format: $(STAMP) ## Format the sources
	@$(NPM) run format

.PHONY: kubernetes
kubernetes: $(STAMP) ## Bring etcd, kube-apiserver, controller-manager, scheduler and kubectl (built once, then cached)
	@$(NPM) run kubernetes

.PHONY: node
node: $(STAMP) kubernetes ## Bring a real node: kubelet, containerd, runc, CRIU, CNI plugins, images (built once, then cached)
	@$(NPM) run node

.PHONY: bundle
bundle: $(STAMP) ## Bundle the program into dist/fleetwright.mjs
	@$(NPM) run bundle

.PHONY: bench-quota
bench-quota: $(STAMP) kubernetes bundle ## The quota storm, beside in-tree ResourceQuota and no quota
	@$(NPM) run bench:quota -- $(ARGS)

.PHONY: bench-kube
bench-kube: $(STAMP) kubernetes ## 100,000 pods listed and kept, beside @kubernetes/client-node
	@$(NPM) run bench:kube -- $(ARGS)

.PHONY: bench-twin-api
bench-twin-api: $(STAMP) kubernetes bundle ## A fleet's writes, lists and watches on the twin, beside the real server
	@$(NPM) run bench:twin-api -- $(ARGS)

.PHONY: bench-twin
bench-twin: $(STAMP) ## 7,500 nodes and 50,000 pods created and running on the twin, then a day of them in virtual time
	@$(NPM) run bench:twin -- $(ARGS)

.PHONY: simulate-quota
simulate-quota: $(STAMP) ## The quota storm on a whole cluster in virtual time (SEEDS=2000, FIRST_SEED=1)
	@SEEDS=$(or $(SEEDS),2000) FIRST_SEED=$(or $(FIRST_SEED),1) $(NPM) run test -- simulation test/simulation/quota-storm

.PHONY: simulate-checkpoint
simulate-checkpoint: $(STAMP) ## Checkpoint schedules in virtual time while everything fails (SEEDS=500, FIRST_SEED=1, NODES=100)
	@SEEDS=$(or $(SEEDS),500) FIRST_SEED=$(or $(FIRST_SEED),1) $(NPM) run test -- simulation test/simulation/checkpoint-storm

.PHONY: bench-checkpoint
bench-checkpoint: $(STAMP) ## Taking, reading and packing checkpoints on a real node, beside checkpointctl (SIZES=64,1024,4096)
	@SIZES="$(if $(SIZES),$(SIZES),64,1024,4096)" $(NPM) run -s bench:checkpoint

.PHONY: fuzz-checkpoint
fuzz-checkpoint: $(STAMP) ## Hostile archives, images and documents (CASES=1000000, SEED=1)
	@CASES=$(or $(CASES),1000000) SEED=$(or $(SEED),1) $(NPM) run -s fuzz:checkpoint

.PHONY: conformance
conformance: $(STAMP) kubernetes ## The recordings and the twin, held against the real server
	@$(NPM) run conformance -- $(ARGS)

.PHONY: upstream
upstream: $(STAMP) kubernetes ## Upstream's end-to-end specs, against the twin (builds the suite once)
	@$(NPM) run upstream -- $(ARGS)
