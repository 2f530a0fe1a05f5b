# Every target sets up .venv by itself; the second time that costs nothing.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: app test test-all check format

app: .venv/app
	$(BIN)/python app.py

test: .venv/dev
	$(BIN)/python -m pytest

test-all: .venv/dev
	$(BIN)/python -m pytest --slow

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/app: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

.venv/dev: .venv/app pyproject.toml tests/install_browser.sh
	$(BIN)/python -m pip install --quiet -e ".[dev,mcp]"
	bash tests/install_browser.sh
	touch $@
