# Each target makes the environment it needs. PYTHON chooses the interpreter, 3.10 or newer.
PYTHON ?= python3
LIGHT := .venv-light
FULL := .venv-full

.PHONY: demo test check docs clean

demo: $(LIGHT)/installed ## Draw a crowd, run the whole line on it and on PHOTO, with the light install
	$(LIGHT)/bin/rsgnet demo $(PHOTO) --out out/demo

test: $(FULL)/installed check ## Style, types, layers and all tests, with the full install
	OMP_NUM_THREADS=1 $(FULL)/bin/python -m pytest -n 2 --dist loadgroup

check: $(FULL)/installed
	$(FULL)/bin/ruff check
	$(FULL)/bin/ruff format --check
	$(FULL)/bin/mypy
	$(FULL)/bin/lint-imports

docs: $(FULL)/installed ## The documentation, into site/
	NO_MKDOCS_2_WARNING=1 $(FULL)/bin/mkdocs build --strict

$(LIGHT)/installed: pyproject.toml
	$(PYTHON) -m venv --clear $(LIGHT)
	$(LIGHT)/bin/python -m pip install --quiet --editable .
	touch $@

$(FULL)/installed: pyproject.toml
	$(PYTHON) -m venv --clear $(FULL)
	$(FULL)/bin/python -m pip install --quiet --editable '.[all,dev]'
	touch $@

clean: ## Remove the environments and the built documentation
	rm -rf $(LIGHT) $(FULL) site
