# Every target is one plain command, so that what CI runs can be typed by hand.

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
# The commit's own time: two builds of one commit give the same layers.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
CREATED    = $(shell date -u -d @$(SOURCE_DATE_EPOCH) +%Y-%m-%dT%H:%M:%SZ)
DOCKER    ?= docker
IMAGE     ?= sidecar:dev
BIN       ?= bin/sidecar
CONTEXT   ?= dist/image
CA_BUNDLE ?= /etc/ssl/certs/ca-certificates.crt
TESTFLAGS ?=
FUZZTIME  ?= 10s
BENCHFLAGS ?= -update
BUILDFLAGS ?=

# Bytes. The budget is a promise of the README; the target is what we aim at.
SIZE_BUDGET = 22000000
SIZE_TARGET = 15000000

# Packages in no hot path are compiled without inlining, which makes the program 5 % smaller. Their small functions are not
# inlined into other packages either: see docs/decisions/0260-cold-packages.md before adding one.
COLD_MODULES = github.com/bmatcuk/... github.com/fsnotify/... github.com/go-git/... github.com/itchyny/... github.com/nxadm/... github.com/robfig/... github.com/urfave/... \
	go.yaml.in/... golang.org/x/crypto/ssh/... mvdan.cc/...
COLD_STD = crypto/elliptic crypto/hpke crypto/x509/... encoding/asn1 encoding/gob encoding/json flag log/... math/big mime/... net/http regexp/syntax text/... \
	vendor/golang.org/x/crypto/cryptobyte/...
COLD_OURS = $(addprefix github.com/sidecar-kit/sidecar/, \
	internal/admin internal/draft internal/host internal/notify internal/probe internal/proc internal/publish internal/status internal/strict internal/tlsconf internal/watch \
	roles/adapter roles/adapter/allow roles/adapter/answer roles/adapter/check roles/adapter/compat/... roles/adapter/emit roles/adapter/kind \
	roles/adapter/mysql roles/adapter/oauth roles/adapter/otlp roles/adapter/postgres roles/adapter/redis roles/adapter/server roles/adapter/shape roles/adapter/source \
	roles/adapter/statsmap roles/adapter/textmap roles/adapter/web \
	roles/cron roles/cron/crontab roles/cron/lease roles/cron/shell \
	roles/gitsync roles/gitsync/gitserve \
	roles/initcopy roles/initcopy/remote roles/initcopy/render \
	roles/logship roles/logship/dead roles/logship/keep roles/logship/outputs \
	roles/proxy/route roles/proxy/starttls)
COLD = $(foreach pattern,$(COLD_MODULES) $(COLD_STD) $(COLD_OURS),-gcflags=$(pattern)=-l)

# What e2e's application containers need from Debian; a new list makes a new tar.
BASE_PACKAGES = nginx-light,git,openssh-server,ca-certificates,tomcat10,default-jre-headless,mariadb-server-core,mariadb-client-core,postgresql-15,redis-server,rsyslog,rsyslog-gnutls,logrotate
BASE_MIRROR  ?= http://deb.debian.org/debian
BASE_TAR      = .cache/base-bookworm-$(shell echo $(BASE_PACKAGES) | cksum | cut -d' ' -f1).tar

.DEFAULT_GOAL := help
.PHONY: help build test race cover lint fmt fuzz tidy size demo docs image base e2e bench clean

help: ## print this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/sidecar, static and stripped
	CGO_ENABLED=0 go build -trimpath -tags urfave_cli_no_docs -ldflags '-s -w -funcalign=16 -X main.version=$(VERSION)' $(COLD) -o $(BIN) .

test: ## unit tests and scripts: no network, no root, no Docker
	go test $(TESTFLAGS) ./...

# Every program under the race detector waits a second before it ends, unless it is told not to; the scripts start hundreds.
race: ## the same under the race detector
	GORACE=atexit_sleep_ms=0 go test -race $(TESTFLAGS) ./...

cover: ## coverage per function
	go test -coverprofile=.cover.out ./... && go tool cover -func=.cover.out

lint: ## vet, staticcheck and gofmt on every module
	.ci/lint

fmt: ## rewrite with gofmt
	gofmt -l -w $$(git ls-files '*.go')

fuzz: ## every fuzz target for FUZZTIME (10s)
	.ci/fuzz $(FUZZTIME)

tidy: ## fail when a go.mod is not tidy
	for m in . e2e bench; do go -C $$m mod tidy -diff || exit 1; done

size: build ## fail when the stripped binary is over 22 MB
	@s=$$(stat -c %s $(BIN)); echo "$(BIN): $$s bytes; target $(SIZE_TARGET), budget $(SIZE_BUDGET)"; test $$s -le $(SIZE_BUDGET)

demo: ## a push changes a page; a file is copied, killed and whole; jobs run; HTTPS gets a new certificate
	go run . demo sync
	go run . demo initcopy
	go run . demo cron
	go run . demo proxy
	go run . demo logship
	go run . demo adapter

docs: ## rewrite the generated tables under docs/
	go test . -run TestGoldenReference -update

image: build ## the scratch image, from no registry
	.ci/rootfs $(BIN) $(CA_BUNDLE) $(CONTEXT)
	$(DOCKER) build $(BUILDFLAGS) -f Dockerfile -t $(IMAGE) --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) --build-arg CREATED=$(CREATED) $(CONTEXT)

base: $(BASE_TAR) ## the Debian image of e2e's applications (needs root)
	$(DOCKER) image inspect sidecar-e2e-base:$(notdir $(basename $(BASE_TAR))) >/dev/null 2>&1 || $(DOCKER) import $(BASE_TAR) sidecar-e2e-base:$(notdir $(basename $(BASE_TAR)))
	$(DOCKER) tag sidecar-e2e-base:$(notdir $(basename $(BASE_TAR))) sidecar-e2e-base:latest

$(BASE_TAR):
	.ci/base $(BASE_PACKAGES) $(BASE_MIRROR) $@

e2e: image base ## real containers: nginx, git over http and ssh, a browser
	go -C e2e test -count=1 -timeout 15m $(TESTFLAGS) ./...

bench: build ## every bar of docs/benchmarks.md, measured here
	go -C bench run . $(BENCHFLAGS)

clean: ## remove what was built
	rm -rf bin dist .cover.out
