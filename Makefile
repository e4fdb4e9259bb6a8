# Two commands on a bare machine with Python 3.11 or newer: `make chat` and `make test`.
# Everything they need goes into .venv; set-up runs again only when pyproject.toml or constraints.txt change.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
# Two workers on two cores; one thread each, because torch's threads get in each other's way.
TEST_ARGS ?= -n 2 --dist loadfile

.PHONY: setup chat test lint screenshots help

help:
	@echo "make chat   open the chat    make test   run the tests    make lint   ruff and mypy    make setup   .venv only"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "memchat needs Python 3.11 or newer, and $(PYTHON) is %d.%d: make setup PYTHON=python3.12" % sys.version_info[:2])'
	@echo "Setting up $(VENV). The first time this downloads PyTorch: one to three gigabytes."
	$(PYTHON) -m venv $(VENV)
	# torch first and by itself, so that a build that is already on this machine is taken
	$(RUN) -m pip install --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(RUN) -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

chat: $(READY)
	@$(RUN) -m memchat

test: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m pytest $(TEST_ARGS)

lint: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

screenshots: $(READY)
	$(RUN) -m tests.screenshots
