# A bare "make" lists the targets. CI runs the same ones, through .ci/run.

GO        ?= go
FUZZTIME  ?= 20s
BENCH     ?= .
RUNS      ?= 3
ROWS      ?=
TESTFLAGS ?=

export CGO_ENABLED = 0

PACKAGES  = ./...
DEVTOOL   = $(GO) tool -modfile=tools/dev.mod
REPORT    = $(GO) run ./tools/internal/testreport -parity docs/parity.md --
PEERS     = hc9 hc1 hs2 hs4 node6
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

.DEFAULT_GOAL = help
.PHONY: help run build test check lint format vet cross race fuzz bench compare peers nightly clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build Cairn and do its main job in a new store: create a feed, append a file, read it back, verify it
	@tools/run.sh bin/cairn README.md

build: ## build the command into bin/
	$(GO) build -o bin/ ./tools/cairn

test: ## every test once, with what npm peers there are, and the parity table
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory peers || echo "the reference peers are not installed: tests that need them will say so"; fi
	$(REPORT) -vet=off -timeout 14m $(TESTFLAGS) $(PACKAGES)

check: lint vet cross test ## all that a change must pass: format and lint, vet, cross-compilation, tests

lint: ## golangci-lint: format, the layering, and what its configuration lists
	$(DEVTOOL) golangci-lint run $(PACKAGES)

format: ## rewrite every file as lint wants it
	$(DEVTOOL) golangci-lint fmt $(PACKAGES)

vet: ## go vet here, with the invariant checks, and on a 32-bit and on a big-endian machine
	$(GO) vet $(PACKAGES)
	$(GO) vet -tags invariants $(PACKAGES)
	GOARCH=386 $(GO) vet $(PACKAGES)
	GOARCH=s390x $(GO) vet $(PACKAGES)

cross: ## that every supported platform builds, without cgo
	@for p in $(PLATFORMS); do \
		echo "build and vet for $$p"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build $(PACKAGES) || exit 1; \
		GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) vet $(PACKAGES) || exit 1; \
	done

race: ## every test in random order, with the race detector and the invariant checks; needs a C compiler
	CGO_ENABLED=1 $(GO) test -race -shuffle=on -tags invariants -timeout 60m $(PACKAGES)

fuzz: ## every fuzz target, FUZZTIME each (20s)
	@tools/fuzz.sh $(FUZZTIME)

# Two outputs of it compare with: go tool -modfile=tools/dev.mod benchstat OLD NEW
bench: ## the benchmarks of every package, or those that match BENCH
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem $(PACKAGES)

compare: build peers ## cairn bench beside the JavaScript implementations, as ratios: the median of RUNS runs (3)
	$(GO) run ./tools/internal/compare -cairn bin/cairn -runs $(RUNS) $(if $(ROWS),-rows $(ROWS))

peers: $(PEERS:%=tools/peers/%/node_modules/.package-lock.json) ## install the JavaScript implementations that the tests talk to

tools/peers/%/node_modules/.package-lock.json: tools/peers/%/package-lock.json
	cd tools/peers/$* && npm ci --loglevel=error
	@touch $@

nightly: ## the long tests: a million blocks, long streams, long fuzzing, the race detector
	CAIRN_NIGHTLY=1 $(REPORT) -timeout 6h -count=1 $(PACKAGES)
	$(MAKE) race
	$(MAKE) fuzz FUZZTIME=10m

clean: ## remove what the other targets made
	rm -rf bin tools/peers/*/node_modules
