# Three words for a newcomer: run, test, check. CI calls the same.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: run test check install format clean

run: $(VENV)/.installed         ## make the environment, install, open the dashboard
	$(BIN)/prism dashboard

install: $(VENV)/.installed     ## the environment with model and llm extras, nothing opened

test: $(VENV)/.installed-dev    ## install what tests need and run them
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/.installed-dev   ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("SAE Prism needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[model,llm]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[model,llm,dev]'
	touch $@

clean:                          ## remove the environment; runs in cache/ stay
	rm -rf $(VENV)
