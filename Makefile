# Every target sets up .venv by itself; the second time that costs nothing.
PYTHON ?= python3
BIN := .venv/bin
BOTH := -n 2 --dist loadfile  # two processes, a file of tests in one

.PHONY: app test test-all check format

app: .venv/app
	$(BIN)/python app.py

test: .venv/dev
	$(BIN)/python -m pytest $(BOTH)

test-all: .venv/dev
	$(BIN)/python -m pytest $(BOTH) --slow

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest $(BOTH)

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
