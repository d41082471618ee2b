# Gatehouse. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

TOOLS   := $(CURDIR)/.tools
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 20s
# The profile of gwproxy's hot path is for what `make build` makes: tests would compile all that it stands on once more.
export GOFLAGS := $(GOFLAGS) -pgo=off
# What `make breaking` compares the protobuf files with: the newest release, else the commit before this one.
AGAINST ?= $(shell git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || git rev-parse -q --verify HEAD~1 2>/dev/null)

##@ Use

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: up
up: build ## build, then run both planes and the quickstart on this machine
	bin/gwctl up

.PHONY: build
build: ## make bin/gwctl, bin/gwcontrol and bin/gwproxy
	CGO_ENABLED=0 go build -pgo=auto -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cli/gwctl ./controlplane/gwcontrol ./dataplane/gwproxy

##@ Check

.PHONY: all
all: generate build lint test ## everything that a change has to pass

.PHONY: test
test: build test-race interop ## race-checked tests, then real servers and clients where Node and npm are present

.PHONY: test-race
test-race:
	go test -race -timeout 15m ./...
	go test -run Alloc ./dataplane ./dataplane/h1 # which the race detector does not let count
	go test ./controlplane/store/bolt # its damage tests read pages as bbolt does, which the race detector's checkptr forbids

.PHONY: interop
interop: build ## real MCP servers and clients: npm's servers, Inspector, the TypeScript and the Go SDK
	@tools/interop/run

.PHONY: lint
lint: $(TOOLS)/buf $(TOOLS)/golangci-lint checkgenerate breaking arrows ## formats, linters, import arrows, generated code
	$(TOOLS)/buf lint
	$(TOOLS)/buf format -d --exit-code >/dev/null
	test -z "$$(gofmt -l cli controlplane dataplane tools)" || { gofmt -l cli controlplane dataplane tools; exit 1; }
	go vet ./...
	$(TOOLS)/golangci-lint run ./...

.PHONY: arrows
arrows: ## imports follow .ci/arrows, and no plane imports the other but at the one crossing
	@cd tools/arrows && go run . -dir $(CURDIR) -want $(CURDIR)/.ci/arrows

.PHONY: breaking
breaking: $(TOOLS)/buf ## protobuf changes break no reader
	@if [ -z "$(AGAINST)" ] || ! git cat-file -e $(AGAINST):buf.yaml 2>/dev/null; then echo "SKIP breaking: nothing to compare with"; else \
	  $(TOOLS)/buf breaking --against '.git#ref=$(shell git rev-parse $(AGAINST) 2>/dev/null)'; fi

.PHONY: vuln
vuln: $(TOOLS)/govulncheck ## known vulnerabilities in what is linked
	@if $(TOOLS)/govulncheck ./... >.tools/vuln.txt 2>&1; then tail -n 3 .tools/vuln.txt; \
	elif grep -q 'fetching vulnerabilities' .tools/vuln.txt; then echo "SKIP vuln: the vulnerability database is out of reach"; \
	else cat .tools/vuln.txt; exit 1; fi

.PHONY: bench
bench: build ## micro benchmarks, then the system, section by section (about 25 minutes; docs/benchmarks.md)
	go test -run '^$$' -bench . -benchmem ./dataplane/... ./controlplane/...
	go run ./dataplane/bench -bin $(CURDIR)/bin -only calls,sizes,growth,swap,streams,garbage,memory,fleet,profile

.PHONY: pgo
pgo: build ## measure anew what the compiler is told of the hot path (dataplane/gwproxy/default.pgo)
	go run ./dataplane/bench -bin $(CURDIR)/bin -only profile -keep-profile $(CURDIR)/dataplane/gwproxy/default.pgo

.PHONY: fuzz-ci
fuzz-ci: ## the fuzz targets of what reads bytes from outside, 20 s each, as for every change
	@.ci/fuzz 20

.PHONY: bench-quick
bench-quick: build ## the system benchmark in short (about two minutes): shows that it works, its figures say little
	go run ./dataplane/bench -bin $(CURDIR)/bin -quick

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (20s)
	@for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' cli controlplane dataplane | xargs -n1 dirname | sort -u); do \
	  for target in $$(grep -h '^func Fuzz' $$pkg/*_test.go | sed 's/func \(Fuzz[A-Za-z0-9_]*\).*/\1/'); do \
	    echo "$$pkg $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$pkg; done; done

##@ Generate

.PHONY: generate
generate: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc ## gen/ from proto/
	$(TOOLS)/buf format -w
	$(TOOLS)/buf generate

.PHONY: checkgenerate
checkgenerate: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc
	@out=$$(mktemp -d) && trap 'rm -rf $$out' EXIT && $(TOOLS)/buf generate -o $$out && diff -r $$out/gen gen || { echo "gen/ is stale: run make generate"; exit 1; }

.PHONY: arrows-write
arrows-write: ## accept the import arrows as they are now
	@cd tools/arrows && go run . -dir $(CURDIR) > $(CURDIR)/.ci/arrows

$(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc $(TOOLS)/govulncheck &: tools/go.mod
	@mkdir -p $(TOOLS)
	cd tools && GOBIN=$(TOOLS) go install tool
	@touch $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc $(TOOLS)/govulncheck

$(TOOLS)/golangci-lint: tools/lint/go.mod
	@mkdir -p $(TOOLS)
	cd tools/lint && GOBIN=$(TOOLS) go install tool
	@touch $@

.PHONY: clean
clean: ## remove what the targets made
	rm -rf bin .tools tools/interop/node_modules
