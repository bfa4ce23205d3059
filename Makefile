# podnet's tasks. `make demo` and `make test` do all set-up on a fresh Debian 12 machine, as root.
SHELL := /bin/sh
.DEFAULT_GOAL := help
export PATH := $(PATH):/usr/sbin:/sbin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

# What has to be there, and the Debian package that brings it: a command on PATH or a file.  Packages that bring a service
# start it, as Debian has it: containerd, and etcd at 127.0.0.1:2379; no test asks these.  `systemctl disable --now etcd`.
DEMO_NEEDS := cc=gcc /usr/include/*/sys/un.h=libc6-dev ip=iproute2 tc=iproute2 nft=nftables sysctl=procps \
	ping=iputils-ping modprobe=kmod mount=mount unshare=util-linux
TEST_NEEDS := $(DEMO_NEEDS) openssl=openssl iptables=iptables conntrack=conntrack iperf3=iperf3 tcpdump=tcpdump strace=strace shellcheck=shellcheck \
	wg=wireguard-tools wireguard-go=wireguard-go bird=bird2 \
	/usr/lib/cni/bridge=containernetworking-plugins containerd=containerd runc=runc podman=podman \
	etcd=etcd-server etcdctl=etcd-client

on_path = $(firstword $(wildcard $(if $(filter /%,$(1)),$(1),$(addsuffix /$(1),$(subst :, ,$(PATH))))))
missing = $(sort $(foreach need,$(1),$(if $(call on_path,$(firstword $(subst =, ,$(need)))),,$(lastword $(subst =, ,$(need))))))

# The Python that makes the environment: 3.11 or later, with venv and ensurepip (Debian packages these apart).
PYTHON_MISSING = $(if $(wildcard $(BIN)/pip),,$(shell $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || echo python3 python3-venv))

# $(call apt,PACKAGES) installs them; nothing happens when there are none.
define apt
$(if $(strip $(1)),apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(1))
endef

.PHONY: help demo test test-cluster check bench soak image chart clean demo-packages test-packages

help: ## these lines
	@sed -n 's/^\([a-z][a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/.installed ## three nodes with pods on this machine, every pod reaching every pod
	$(BIN)/podnet lab demo

test: $(VENV)/.installed-for-tests check ## all tests, those that talk to the kernel too
	$(BIN)/pytest -n auto --dist worksteal --cov --cov-report= $(PYTEST_ARGS)
	$(BIN)/python .ci/branches.py

test-cluster: $(VENV)/.installed-for-tests ## tests on real Kubernetes clusters; builds Kubernetes once
	-$(BIN)/python -m tests.cluster.building
	$(BIN)/pytest -m cluster tests/cluster $(PYTEST_ARGS)

check: $(VENV)/.installed-for-tests ## linters, types, layers, docstrings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/interrogate --quiet tests

bench: $(VENV)/.installed-for-tests ## beside the reference plugins, among thousands of nodes, on a cluster; writes docs/BENCH.md
	$(BIN)/python bench/run.py

soak: $(VENV)/.installed-for-tests ## 200 random sequences with kill -9 amid them (SEQUENCES=1000 SEED=7: more, these)
	$(BIN)/python -m tests.crashes.soak

image: $(VENV)/.installed-for-tests ## dist/podnet-image.tar for DaemonSets, without a container engine (IMAGE=name:tag)
	$(BIN)/python -m deploy.image.build $(if $(IMAGE),--reference $(IMAGE))

chart: $(VENV)/.installed-for-tests ## deploy/chart anew, after a change of deploy/podnet.yaml
	$(BIN)/python -m deploy.helm

clean: ## what was built here, the environment too
	rm -rf $(VENV) build dist podnet/shim/podnet .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache \
		.import_linter_cache .hypothesis
	find podnet tests bench shim deploy -name __pycache__ -prune -exec rm -rf {} +

demo-packages:
	@$(call apt,$(call missing,$(DEMO_NEEDS)) $(PYTHON_MISSING))

test-packages:
	@$(call apt,$(call missing,$(TEST_NEEDS)) $(PYTHON_MISSING))

$(BIN)/pip: | demo-packages
	$(PYTHON) -c 'import sys; sys.exit("podnet needs Python 3.11 or later; make PYTHON=/path/to/python3 names one" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear $(VENV)

# The stamps: what is installed is older than what describes it only when there is something to do.
$(VENV)/.installed: pyproject.toml shim/podnet.c shim/build_hook.py | demo-packages $(BIN)/pip
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.installed-for-tests: pyproject.toml shim/podnet.c shim/build_hook.py | test-packages $(BIN)/pip
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/.installed
