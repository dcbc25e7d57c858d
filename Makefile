# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Each prepares .venv and the machine first, and is quick about it the second time.

SHELL := /bin/bash
BIN := .venv/bin
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint bench fuzz screenshots pictures snapshots clean venv machine tools

help:
	@echo 'make demo    store a demo token, run a real agent that uses it without holding it, show the proof'
	@echo 'make test    everything needed, the linters and the whole test suite (what CI runs)'
	@echo 'make lint    ruff, mypy and the import rules'
	@echo 'make bench   the measurements with their gates'
	@echo 'make screenshots  record a session on the real engine and draw screenshots/ from it'
	@echo 'make pictures     draw screenshots/ again from the recorded session'
	@echo 'make snapshots    write the screen'"'"'s snapshots anew; review the diff'
	@echo 'make fuzz    ten minutes of requests and responses, both proxy lanes compared'
	@echo 'make clean   remove .venv and caches; leaves ~/.moat and Docker alone'

# Where no Docker engine answers, a sandbox that needs nothing will do, and nothing is installed.
demo: venv
	@$(BIN)/python -m moat_tui.demo.choice || $(BIN)/moat doctor --fix
	@$(BIN)/python -m moat_tui.demo

# pytest comes last, so that its closing line closes the output.
test: venv machine tools lint
	@$(BIN)/python -m pytest -m 'not benchmark' -n 4 --dist loadfile

lint: venv
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fuzz: venv
	@MOAT_FUZZ_SECONDS=600 $(BIN)/python -m pytest -q --timeout 1300 tests/engine/proxy/test_lanes_agree.py

bench: venv machine
	@$(BIN)/python tests/benchmarks/runtimes.py
	@$(BIN)/python tests/benchmarks/start_up.py
	@$(BIN)/python tests/benchmarks/audit_commit.py
	@$(BIN)/python tests/benchmarks/audit_verify.py
	@$(BIN)/python tests/benchmarks/scrub.py
	@$(BIN)/python tests/benchmarks/grants.py
	@$(BIN)/python tests/benchmarks/screen.py
	@$(BIN)/python tests/benchmarks/proxy.py

# Record, then draw. Without changes to what is recorded, `make pictures` alone is enough.
screenshots: venv machine
	@$(BIN)/python tests/support/record_session.py
	@$(MAKE) --no-print-directory pictures

pictures: venv
	@$(BIN)/python tests/support/make_screenshots.py

snapshots: venv
	@MOAT_WRITE_SNAPSHOTS=1 $(BIN)/python -m pytest -q -n 2 tests/moat_tui/screen/test_snapshots.py

clean:
	@rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find engine moat_tui tests -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@bash .ci/venv.sh

machine: venv
	@$(BIN)/moat doctor --fix

tools:
	@bash .ci/tools.sh
	@bash tests/support/services/build.sh || true
