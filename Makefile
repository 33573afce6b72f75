# The commands everyone runs; CI runs the same (.ci/run). `make` alone lists them.
#
# A target is either one step, or a list of steps. Every step says in one line what it does, and the
# first that fails stops make. Steps run one at a time, whatever -j says: each of them keeps every
# core busy by itself, and interop needs what peers installs.

SHELL := /bin/bash
.NOTPARALLEL:
.DEFAULT_GOAL := help

# Pinned tools. They are built into .bin, which git ignores, from source by the go command: once per
# tool version and Go version. Why golangci-lint: see .golangci.yml.
GOLANGCI    := v2.15.0
GOVULNCHECK := v1.2.0

TOOLS  := .bin/$(shell go env GOVERSION)
LINTER := $(TOOLS)/golangci-lint-$(GOLANGCI)/golangci-lint
VULN   := $(TOOLS)/govulncheck-$(GOVULNCHECK)/govulncheck

# Other people's software that interop talks to, at the versions of Debian 12. The star leaves room
# for Debian's security fixes. The JavaScript peers are pinned by interop/package-lock.json.
PEERS := prosody=0.12.3* ejabberd=23.01* python3-slixmpp=1.8.3* ruby-faye=1.4.0* chromium=* nginx=1.22.1* haproxy=2.6.12* strace=6.1*

# How long each fuzz target runs: a time, or a count of inputs (1000x). Searching is for `make fuzz`, which tries other inputs each time.
# `make test` tries some thousand to see that every target works and finds nothing at hand, from a fixed seed: what passed on one
# machine is not to fail on the next for the luck of a draw. What a search has found is a seed or in testdata, and in every run.
FUZZTIME ?= 30s
test: FUZZTIME := 5000x
test: FUZZSEED := fuzzseed=1

# Which benchmarks, and how often: `make bench BENCH=Fanout COUNT=10 >bench.new` feeds benchstat.
BENCH ?= .
COUNT ?= 1

# What the binary answers to `waft version`.
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

say = @printf '==> %s  %s\n' "$$(date +%T)"

# The packages whose tests have a function of this prefix: $(call packages-with,Fuzz).
packages-with = $$(grep -rl --include='*_test.go' --exclude-dir=node_modules '^func $(1)' . | sed 's:/[^/]*$$::' | sort -u)

.PHONY: help
help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: check
check: static unit ## before every commit: format, vet, tidy, other systems, lint, unit tests

# The race run is the unit tests again, so `test` leaves `unit` out. Peers come before it because
# the race detector needs the C compiler they see to.
.PHONY: test
test: static peers race guard fuzz interop ## everything, as CI runs it; installs the interop peers
	$(say) 'test: all passed'

.PHONY: static
static: fmt-check vet tidy cross lint ## what can be said without running the code

.PHONY: fmt
fmt: $(LINTER) ## rewrite every file in the format that check asks for
	$(say) 'fmt: gofumpt and goimports over every file'
	@$(LINTER) fmt

.PHONY: fmt-check
fmt-check:
	$(say) 'fmt: gofmt has nothing to change'
	@set -euo pipefail; \
	unformatted=$$(find . -name '*.go' -not -path '*/node_modules/*' -not -path './.*' -exec gofmt -l {} +); \
	if [ -n "$$unformatted" ]; then printf 'not formatted, run make fmt:\n%s\n' "$$unformatted" >&2; exit 1; fi

.PHONY: vet
vet:
	$(say) 'vet: go vet, without and with the interop tag'
	@go vet ./...
	@go vet -tags interop ./...

.PHONY: tidy
tidy:
	$(say) 'tidy: go.mod and go.sum list what is imported, and nothing else'
	@go mod tidy -diff

.PHONY: cross
cross: ## build and vet for the systems that CI does not run on
	$(say) 'cross: build and vet for darwin'
	@CGO_ENABLED=0 GOOS=darwin go build ./...
	@CGO_ENABLED=0 GOOS=darwin go vet ./...
	$(say) 'cross: build and vet for windows'
	@CGO_ENABLED=0 GOOS=windows go build ./...
	@CGO_ENABLED=0 GOOS=windows go vet ./...

.PHONY: lint
lint: $(LINTER) ## the linters and the import picture of .golangci.yml
	$(say) 'lint: golangci-lint $(GOLANGCI)'
	@$(LINTER) run ./...

.PHONY: unit
unit: ## the unit tests, quick and cached
	$(say) 'unit: go test'
	@go test ./...

.PHONY: race
race: ## the unit tests under the race detector
	$(say) 'race: go test -race'
	@go test -race -count=1 ./...

# In a run of their own, because they count the whole process, and what the race detector adds to it. What
# they log is what was counted.
.PHONY: guard
guard: ## what hot paths cost in allocations, system calls and instructions
	$(say) 'guard: allocations, system calls, instructions'
	@set -euo pipefail; \
	go test -v -count=1 -run='^TestGuard' $(call packages-with,TestGuard) | { grep -v '^=== \|^ *--- PASS\|^PASS' || true; }

# go test fuzzes one target of one package at a time, so this asks each package for its targets. One worker: with more,
# minimising an input can stall the others past the end. And few runs to minimise one: an input whose coverage depends on timing would
# take the rest of FUZZTIME.
# Two things go test does not do well by itself, up to Go 1.26:
#   - The end of -fuzztime can race with a busy worker, and the target then fails with "context
#     deadline exceeded" and no input (go.dev/issue/75804). Such a run has proved nothing either way,
#     so it is taken again, twice at most. Whatever else fails, fails at once.
#   - An input that never ends passes. Its worker has to be killed, which shows as two seconds more
#     than FUZZTIME; that is a failure here.
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each (30s)
	$(say) 'fuzz: every target for $(FUZZTIME)'
	@set -euo pipefail; \
	for package in $(call packages-with,Fuzz); do \
		targets=$$(go test -fuzz=. -list='^Fuzz' $$package) || { echo "$$targets"; exit 1; }; \
		for target in $$(grep '^Fuzz' <<<"$$targets"); do \
			for attempt in 1 2 3; do \
				failed=; \
				out=$$(GODEBUG=$(FUZZSEED) go test -run='^$$' -fuzz="^$$target$$" -fuzztime=$(FUZZTIME) -fuzzminimizetime=50x -parallel=1 $$package 2>&1) || failed=yes; \
				if ! awk -v limit=$(FUZZTIME) '$(AWK_SECONDS) /^fuzz: elapsed/ { t = seconds($$3) } \
					END { exit seconds(limit) && t >= seconds(limit) + 2 }' <<<"$$out"; then \
					echo "$$out"; echo "$$package $$target: a worker had to be killed: some input takes seconds, or never ends" >&2; exit 1; fi; \
				if [ -z "$$failed" ]; then \
					echo "ok  $$package $$target: $$(grep -o 'execs: [0-9]*' <<<"$$out" | tail -n1)"; break; fi; \
				if [ $$attempt = 3 ] || grep -q 'Failing input written\|panic:' <<<"$$out" || \
					! grep -qx ' *context deadline exceeded' <<<"$$out"; then echo "$$out"; exit 1; fi; \
				echo "again: $$package $$target: the clock ran out on a busy worker (go.dev/issue/75804)"; \
			done; \
		done; \
	done

# 1h2m3s in seconds; 0 for what is not a time of h, m and s, such as a count of runs (1000x).
AWK_SECONDS = function seconds(d,  n, i, t) { n = split(d, part, /[hms]/); for (i = 1; i < n; i++) t = t * 60 + part[i]; return t + 0 }

.PHONY: bench
bench: ## every benchmark, with allocations; BENCH=regexp COUNT=n
	$(say) 'bench: $(BENCH), $(COUNT) time(s) each' >&2
	@set -euo pipefail; \
	go test -run='^$$' -bench='$(BENCH)' -benchmem -count=$(COUNT) $(call packages-with,Benchmark)

# The server is the built binary, the clients are the test process.
.PHONY: bench-idle
bench-idle: ## memory of an idle session of each kind, 10,000 at a time
	$(say) 'bench-idle: 10,000 sessions of each kind'
	@go test -tags interop -count=1 -timeout 10m -run '^TestIdle_memory$$' -v ./interop/ -idle=10000

# What waft is measured beside, at the versions of Debian 12; Faye and CometD come with the JavaScript peers.
RIVALS := nginx-light=1.22.1* libnginx-mod-nchan=1:1.3.6* pushpin=1.36.0* zurl=1.11.1*
ROUNDS ?= 5
SECONDS_EACH ?= 2

# Servers on the first core, `waft bench` on the second, one after the other in every round: a machine that
# is busy with other things is so for all. Some six minutes.
.PHONY: bench-peers
bench-peers: PEERS := $(RIVALS)
bench-peers: ROUNDS := 3
bench-peers: peers-debian peers-npm ## waft beside nchan, Faye, CometD, Pushpin and the bare system calls; ROUNDS=n SECONDS_EACH=n
	$(say) 'bench-peers: $(ROUNDS) rounds'
	@go test -tags interop -count=1 -timeout 30m -run '^TestBench_peers$$' -v ./interop/ -bench-rounds=$(ROUNDS) -bench-duration=$(SECONDS_EACH)s

# As bench-peers, and the same with memory for sockets, where no descriptor sets a limit. Some four minutes.
.PHONY: bench-scale
bench-scale: ROUNDS := 3
bench-scale: ## one message to 100 … 100,000 subscribers, sockets as far as they go; ROUNDS=n
	$(say) 'bench-scale: sockets, $(ROUNDS) rounds'
	@go test -tags interop -count=1 -timeout 30m -run '^TestBench_scale$$' -v ./interop/ -scale-rounds=$(ROUNDS) -bench-duration=3s
	$(say) 'bench-scale: connections in memory'
	@go test -run='^$$' -bench='^BenchmarkInMemory$$' -benchtime=10x -timeout 30m ./bayeux -most-in-memory=100000

# With and without the stalled in turn, then twice as much as can be delivered. Some three minutes.
.PHONY: overload
overload: ## what readers notice of others that do not read, and of too much; ROUNDS=n
	$(say) 'overload: $(ROUNDS) rounds'
	@go test -tags interop -count=1 -timeout 30m -run '^TestOverload_measured$$' -v ./interop/ -overload-rounds=$(ROUNDS) -bench-duration=5s

.PHONY: soak
soak: ## waves of 2,000 clients over every transport, under three minutes
	$(say) 'soak: waves of 2,000 clients'
	@go test -tags interop -count=1 -timeout 10m -run '^TestSoak$$' -v ./interop/ -soak=2m15s -soak-clients=2000

# How long `make loss` does harm, and the file for its verdict, if there is to be one.
TIME ?= 10m
JSON ?=

.PHONY: loss
loss: ## waft is killed, paused, cut off, slowed down and filled up for TIME (10m), and loses nothing; needs peers
	$(say) 'loss: $(TIME)'
	@go test -tags interop -count=1 -timeout 0 -run '^TestLoss$$' -v ./interop/ -loss=$(TIME) $(if $(JSON),-loss-json=$(abspath $(JSON)))

.PHONY: interop
interop: ## the built binary against other people's software; needs peers
	$(say) 'interop: waft against its peers'
	@go test -tags interop -count=1 -timeout 20m ./interop/...

.PHONY: peers
peers: peers-debian peers-npm ## install what interop talks to, at pinned versions (Debian 12, as root)

# Servers are installed, never started: interop starts its own, on ports of its own. policy-rc.d is
# how Debian lets us say so; one that is already there is the machine's own decision and stays.
.PHONY: peers-debian
peers-debian:
	$(say) 'peers: $(PEERS)'
	@set -euf -o pipefail; \
	missing=; \
	for pin in $(PEERS); do \
		have=$$(dpkg-query -W -f='$${db:Status-Status} $${Version}' "$${pin%%=*}" 2>/dev/null || true); \
		case "$$have" in "installed "$${pin#*=}) ;; *) missing="$$missing $$pin" ;; esac; \
	done; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v curl >/dev/null || missing="$$missing curl ca-certificates"; \
	if [ -z "$$missing" ]; then echo 'all installed'; exit 0; fi; \
	if ! command -v apt-get >/dev/null; then \
		echo 'peers: the interop peers are packages of Debian 12, and this machine has no apt-get; run make peers interop in a Debian 12 container' >&2; exit 1; fi; \
	if [ "$$(id -u)" != 0 ]; then \
		echo "peers: installing packages needs root; run: sudo make peers-debian  (missing:$$missing)" >&2; exit 1; fi; \
	if [ ! -e /usr/sbin/policy-rc.d ]; then \
		trap 'rm -f /usr/sbin/policy-rc.d' EXIT; \
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get -qq -o Acquire::Retries=3 update; \
	apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
		install -y --no-install-recommends $$missing </dev/null >/dev/null || { \
		echo "peers: apt-get could not install$$missing; the pins are for Debian 12 (bookworm)" >&2; exit 1; }; \
	echo "installed$$missing"; \
	if [ -d /run/systemd/system ]; then \
		echo 'note: Debian starts the servers at the next boot; systemctl disable prosody ejabberd keeps them off'; fi

.PHONY: peers-npm
peers-npm: interop/node_modules/.package-lock.json

# npm leaves this file behind when node_modules is complete.
interop/node_modules/.package-lock.json: interop/package-lock.json interop/package.json
	$(say) 'peers: npm ci in interop'
	@command -v npm >/dev/null || { echo 'peers: the JavaScript peers need node and npm' >&2; exit 1; }
	@cd interop && npm ci --no-audit --no-fund

.PHONY: vuln
vuln: $(VULN) ## known vulnerabilities in what waft calls
	$(say) 'vuln: govulncheck $(GOVULNCHECK)'
	@$(VULN) ./...

.PHONY: build
build: ## the program, as bin/waft
	$(say) 'build: bin/waft $(VERSION)'
	@go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/waft ./cmd/waft

$(LINTER):
	$(say) 'tools: building golangci-lint $(GOLANGCI), a minute or two, once'
	@CGO_ENABLED=0 GOBIN=$(CURDIR)/$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)

$(VULN):
	$(say) 'tools: building govulncheck $(GOVULNCHECK), once'
	@CGO_ENABLED=0 GOBIN=$(CURDIR)/$(@D) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
