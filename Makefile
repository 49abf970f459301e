# Each target creates the environment that it needs. PYTHON is the interpreter, 3.10 or newer.
PYTHON ?= python3
LIGHT := .venv-light
FULL := .venv-full
RELEASE := .venv-release

.PHONY: demo help test test-slow check docs images bench soak licences audit constraints release-check oldest clean

demo: $(LIGHT)/installed ## Draw a crowd and run the pipeline on it and on PHOTO, with the light install
	$(LIGHT)/bin/rsgnet demo $(PHOTO) --out out/demo

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: $(FULL)/installed check ## Check style, types and layers, and run all tests but the slow ones
	OMP_NUM_THREADS=1 $(FULL)/bin/python -m pytest -n 2 --dist loadgroup -m 'not slow'

test-slow: $(FULL)/installed ## Run the slow tests, which make test leaves out
	OMP_NUM_THREADS=1 $(FULL)/bin/python -m pytest -n 2 --dist loadgroup -m slow

check: $(FULL)/installed ## Check style, types and layers only
	$(FULL)/bin/ruff check
	$(FULL)/bin/ruff format --check
	$(FULL)/bin/mypy
	$(FULL)/bin/lint-imports

docs: $(FULL)/installed ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(FULL)/bin/mkdocs build --strict

images: $(FULL)/installed ## Draw the images of the README and docs/ again, after a change of weights or drawing
	$(FULL)/bin/python docs/hero_image.py
	$(FULL)/bin/python docs/method_images.py

# The benchmarks' data are not in this repository: LABELS to train on, HELD_OUT labels, and the IMAGES of both.
LABELS ?= data/coco_train.json
HELD_OUT ?= data/coco_people_val.json
IMAGES ?= data/images
RTMDET ?= data/detectors/rtmdet-nano-person_e2e.onnx
FIGURES ?= docs/performance.json
BENCH = $(FULL)/bin/python benchmarks
RESULT = --json $(FIGURES)

bench: $(FULL)/installed ## Measure every speed of this kind of processor into docs/performance.json; takes 45 minutes
	$(BENCH)/candidate_cost.py $(RESULT)
	$(BENCH)/dense_relation_cost.py $(RESULT)
	$(BENCH)/backend_speed.py $(RESULT)
	$(BENCH)/backend_agreement.py $(HELD_OUT) $(IMAGES) --calibrate $(LABELS):$(IMAGES) $(RESULT)
	$(BENCH)/published_speed.py $(RESULT)
	$(BENCH)/pipeline_speed.py $(IMAGES) $(RESULT)
	-$(BENCH)/rtmlib_loop.py $(RTMDET) $(IMAGES) $(RESULT) # needs pip install rtmlib, and a published RTMDet
	$(BENCH)/evaluation_speed.py $(RESULT)
	$(BENCH)/training_samples.py $(LABELS) $(IMAGES) $(RESULT)
	$(BENCH)/training_step.py $(RESULT)
	$(BENCH)/loader_share.py $(LABELS) $(IMAGES) $(RESULT)
	$(BENCH)/compile_speed.py $(RESULT)
	$(BENCH)/footprint.py $(IMAGES) $(RESULT)
	$(BENCH)/clip_memory.py $(RESULT)
	$(BENCH)/growth.py $(IMAGES) --plot docs/images/growth.svg $(RESULT)
	$(BENCH)/fill_tables.py $(FIGURES)

soak: $(FULL)/installed ## Kill, interrupt and break runs on purpose and check that nothing is lost; under 15 minutes
	OMP_NUM_THREADS=1 $(FULL)/bin/python -m tests.soak

licences: $(FULL)/installed ## Check the licences of all dependencies
	$(FULL)/bin/python -m release.licences

audit: $(FULL)/installed ## Check all dependencies for known vulnerabilities
	$(FULL)/bin/python -m pip install --quiet pip-audit
	$(FULL)/bin/python -m release.audit

constraints: ## Pin the packages that build a release to today's versions
	$(PYTHON) -m venv --clear $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet uv
	$(RELEASE)/bin/python -m uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes \
	  --no-emit-index-url --no-header --output-file release/build.txt release/build.in

release-check: $(RELEASE)/installed ## Build sdist and wheel, check their files, install the wheel and run it
	$(RELEASE)/bin/python -m release.check

oldest: $(RELEASE)/installed ## Test with the oldest supported dependencies; INSTALL=train for those of training
	$(RELEASE)/bin/python -m release.oldest $(INSTALL)

$(LIGHT)/installed: pyproject.toml
	$(PYTHON) -m venv --clear $(LIGHT)
	$(LIGHT)/bin/python -m pip install --quiet --editable .
	touch $@

$(FULL)/installed: pyproject.toml
	$(PYTHON) -m venv --clear $(FULL)
	$(FULL)/bin/python -m pip install --quiet --editable '.[all,dev]'
	touch $@

$(RELEASE)/installed: release/build.txt
	$(PYTHON) -m venv --clear $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet --require-hashes --requirement release/build.txt
	touch $@

clean: ## Remove the environments and the built documentation
	rm -rf $(LIGHT) $(FULL) $(RELEASE) site
