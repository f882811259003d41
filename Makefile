# `make demo` and `make test` work on a fresh clone; ARGS passes options on: make demo ARGS="--seed 7 --fast"
.PHONY: help demo setup services check test figures screenshots dashboard schemas reference clean

help:
	@echo "make demo         the whole loop on this machine, live (ARGS=...)"
	@echo "make test         set up, then every check and test"
	@echo "make check        formatting, lint, types, import direction, generated files"
	@echo "make setup        .venv with what the demo and the tests need"
	@echo "make services     Mosquitto, Prometheus, Chromium, strace (Debian packages, needs root)"
	@echo "make figures      the checked-in reports as tables, those that do not hold first"
	@echo "make screenshots  the pictures of the pages in docs/pictures"
	@echo "make dashboard    deploy/grafana/lineside.json from make_dashboard.py"
	@echo "make reference    docs/commands.md and docs/settings.md from the code"
	@echo "make schemas      contracts/schemas from the models"

demo: setup
	@.venv/bin/lineside demo $(ARGS)

setup:
	@scripts/setup

services:
	@scripts/services

check: setup
	@scripts/check

test: setup services
	@scripts/test $(ARGS)

figures: setup
	@scripts/figures

screenshots: setup
	@.venv/bin/python scripts/picture_pages

dashboard: setup
	@.venv/bin/python deploy/grafana/make_dashboard.py

schemas: setup
	@.venv/bin/python -m contracts.schema

reference: setup
	@.venv/bin/python docs/make_reference.py

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
