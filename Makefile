# `make help` lists what there is.

PYTHON ?= python3
WORKERS ?= auto
OUTPUT ?= output/demo
FLAGS ?=
TESTS ?=

VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
OPERATOR := setup.py models/ops/build_operator.py $(shell find models/ops/src -type f)
UNTRAINED := demo_output/untrained
MODEL := pretrained_weights/tf2_mini
TRAINED := $(wildcard $(MODEL)/config.json)
CHECKPOINT ?= $(if $(TRAINED),$(MODEL))

# Recipes read these from the environment, so that quotes in a sentence do no harm.
export VIDEO TEXT CHECKPOINT

.PHONY: help demo demo-trained demo-untrained demo-own test faults lint clean

help: ## list the targets
	@echo "make demo    segment a clip that it makes into demo_output/, with $(MODEL), or"
	@echo "             untrained where that is not there"
	@echo "make demo VIDEO=clip.mp4 TEXT=\"the dog on the left\" [CHECKPOINT=checkpoint.pth]"
	@echo "             segment your own clip into OUTPUT (output/demo); FLAGS=\"...\" goes to demo.py"
	@echo "make test    run the tests; TESTS=tests/test_files.py some of them; WORKERS=N processes"
	@echo "make faults  kill, fill and break what runs many times; writes docs/reliability.md"
	@echo "make lint    check style and format"
	@echo "make clean   remove what make made, but not $(VENV) and not your results"
	@echo "PYTHON=...   the Python that $(VENV) is made of (3.10 or newer)"

demo: $(if $(VIDEO),demo-own,$(if $(TRAINED),demo-trained,demo-untrained))

# One thread: for so small a network more cost time.
demo-trained demo-untrained: export OMP_NUM_THREADS = 1

demo-trained: $(INSTALLED)
	@rm -rf demo_output/data
	$(RUN) -m tools.demo_synthetic --resume $(MODEL) --output demo_output
	@echo
	@echo "  demo_output/overview.png   a picture of all sentences"
	@echo "  demo_output/overlay.mp4    the same as a video"
	@echo "  demo_output/masks/         one folder a sentence, one PNG a frame"
	@echo "  demo_output/scores.json    the scores above, against the clip's true masks"
	@echo "Your own: make demo VIDEO=clip.mp4 TEXT=\"the dog on the left\""

demo-untrained: $(INSTALLED)
	$(RUN) -m tools.make_untrained --output $(UNTRAINED)
	$(RUN) demo.py --video $(UNTRAINED)/clip.mp4 --resume $(UNTRAINED)/checkpoint.pth \
		--text_encoder $(UNTRAINED)/text_encoder --output demo_output \
		--text "the red ball that rolls to the right" --text "a small green square on the left"
	@echo
	@echo "The weights are untrained, so these masks mean nothing: this shows only that everything runs."
	@echo "  demo_output/overview.png   a picture of all sentences"
	@echo "  demo_output/overlay.mp4    the same as a video"
	@echo "  demo_output/masks/         one folder a sentence, one PNG a frame"
	@echo "Your own: make demo VIDEO=clip.mp4 TEXT=\"the dog on the left\" CHECKPOINT=checkpoint.pth"

demo-own: $(INSTALLED)
	@if [ -z "$$TEXT" ] || [ -z "$$CHECKPOINT" ]; then \
		echo "error: make demo VIDEO=... also needs TEXT=\"...\"$(if $(TRAINED),, and CHECKPOINT=...)" >&2; exit 2; fi
	$(RUN) demo.py --video "$$VIDEO" --text "$$TEXT" --resume "$$CHECKPOINT" --output "$(OUTPUT)" $(FLAGS)

# One thread a process: several that each use all cores get in each other's way.
test: $(INSTALLED_DEV)
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n $(WORKERS) --maxprocesses=4 --dist=worksteal $(TESTS)

faults: export TF2_FAULT_TRIES = 30
faults: export TF2_FAULT_COUNTS = $(CURDIR)/build/faults.jsonl
faults: export OMP_NUM_THREADS = 1
faults: $(INSTALLED_DEV)
	@mkdir -p build && rm -f $(TF2_FAULT_COUNTS)
	$(RUN) -m pytest -q tests/faults
	$(RUN) -m tools.fault_table --counts $(TF2_FAULT_COUNTS)

lint: $(INSTALLED_DEV)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

clean:
	rm -rf demo_output build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path "./$(VENV)/*" -prune -exec rm -rf {} +

# The stamps are written last: an installation that was cut off is taken up again.
$(INSTALLED): requirements.txt $(OPERATOR)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "error: Python 3.10 or newer is needed: make PYTHON=python3.11 ..." >&2; exit 2; }
	@$(RUN) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing into $(VENV): some minutes and several GB the first time, because of PyTorch"
	$(RUN) -m pip install --disable-pip-version-check -r requirements.txt
	$(RUN) -m pip install --disable-pip-version-check --no-deps . \
		|| echo "note: the operator was not built; everything runs without it, in plain PyTorch" >&2
	@touch $@

$(INSTALLED_DEV): requirements-dev.txt $(INSTALLED)
	$(RUN) -m pip install --disable-pip-version-check -r requirements-dev.txt
	@touch $@
