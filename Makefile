# Every verb sets up what it needs itself; see README.md.
.PHONY: install check test demo up down fmt lock bench bench-deploy bench-faults bench-redeploy bench-startup bench-hundred fuzz-hosts

PY := .venv/bin/python

install:
	@sh scripts/bootstrap.sh

check: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

test: check
	@sh scripts/test.sh

demo: install
	$(PY) -m bench.demo

up: install
	.venv/bin/quoracy up

down: install
	.venv/bin/quoracy down

fmt: install
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# The lock names no package index, so that mirrors and air-gapped sites can use it.
lock:
	.venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate \
	  --no-header --no-emit-index-url --group dev pyproject.toml -o requirements.lock

bench: bench-startup bench-deploy bench-redeploy bench-hundred

bench-deploy: install
	$(PY) -m bench.deploy

# An hour: every kill point and every fault, on practice hosts; writes docs/reliability.md.
bench-faults: install
	$(PY) -m tests.faults.faults

bench-redeploy: install
	$(PY) -m bench.redeploy

# Twenty thousand answers of hosts that lie, about ten minutes; QUORACY_FUZZ_ANSWERS and QUORACY_FUZZ_SEED.
fuzz-hosts: install
	$(PY) -m tests.fuzz.fuzz_hosts

bench-startup: install
	$(PY) -m bench.startup

# A hundred redeployments in a row, every tenth of them broken.
bench-hundred: install
	$(PY) -m bench.redeploy_hundred
