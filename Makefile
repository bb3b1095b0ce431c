# `make demo` and `make test` need Python 3.11 to 3.13, g++, make and perl; everything else goes into .venv.

PYTHON ?= python3
PYTHONS ?= $(PYTHON)
DATA ?= data/mnist
TEXT ?= data/text/kjv.txt.gz
HAPT ?=
CROPS ?= 64
LEVEL ?= rtl
GRAPHS ?= 20000
CYCLES ?= 1e9
FRAMES ?= 1e7

VENV := .venv
CLI := $(VENV)/bin/ssm-hdl
READY := $(VENV)/installed
SOURCES := $(shell find ssm_hdl gen sim boards sw -type f -not -name '*.pyc')
FITTED := s4d-16h-w8a8x8 s4d-16h s5-mnist-16h-w4a8 s5-mnist-w8a8x8 s4d-64h-a4x8-qat
JUDGED := digits s4d-64h-w8a8x8 s5-mnist-w4a8
RESULTS = DATA=$(DATA) USERS='$(USERS)' $(VENV)/bin/python -P -m ssm_hdl.sw.results

# Every target that `make help` lists.
.PHONY: tools $(shell sed -n 's/^\([a-z0-9-]*\):.*## .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 17

tools:
	@missing=; \
	for tool in g++ make perl; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
		|| missing="$$missing Python-3.11-to-3.13-with-venv (PYTHON=$(PYTHON) is not one; choose another with make PYTHON=...)"; \
	if [ -n "$$missing" ]; then \
		echo "missing:$$missing; on Debian or Ubuntu: apt install g++ make perl python3 python3-venv" >&2; exit 1; \
	fi

$(VENV)/dependencies: pyproject.toml constraints.txt | tools
	$(PYTHON) -m venv $(VENV)
	rm -rf build
	$(VENV)/bin/pip install --quiet -c constraints.txt '.[dev]'
	touch $@

# A plain install, as users have it: nothing is imported from the working tree.
$(READY): $(VENV)/dependencies $(SOURCES)
	rm -rf build
	$(VENV)/bin/pip install --quiet --no-deps --force-reinstall .
	touch $@

demo: $(READY) ## the road on digits, from training to an iCEBreaker bitstream, into out/demo (minutes)
	$(CLI) demo --out out/demo

test: $(READY) ## lint, types and tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check --quiet .
	cd $(VENV) && bin/mypy --config-file ../pyproject.toml
	$(VENV)/bin/pytest -n 2 --dist worksteal

# Compiled files are counted, and what venv puts there.
wheel: $(READY) ## the wheel, into out/wheel; from it to Verilog in an empty environment of each of PYTHONS: seconds and MB
	rm -rf build out/wheel
	$(VENV)/bin/pip wheel --quiet --no-deps --wheel-dir out/wheel .
	for python in $(PYTHONS); do \
		began=$$(date +%s); \
		$$python -m venv --clear out/wheel/venv && out/wheel/venv/bin/pip install --quiet out/wheel/*.whl && \
		out/wheel/venv/bin/ssm-hdl generate manifests/digits --device up5k --rate 16e3 -o out/wheel/digits.v || exit 1; \
		echo "$$python: $$(( $$(date +%s) - began )) s, $$(du -sm out/wheel/venv/lib/*/site-packages | cut -f1) MB"; \
	done

prove: $(READY) ## results/proofs.json: stream components proved property by property, or for all runs of some length (ten minutes)
	mkdir -p results
	cd tests && ../$(VENV)/bin/python -m prove ../results/proofs.json

train: $(READY) ## checkpoints/ again (DATA=folder of MNIST; some hours on a core)
	$(CLI) train digits --out checkpoints/digits.safetensors
	$(CLI) train s5-digits --out checkpoints/s5-digits.safetensors
	$(CLI) train s4d-16h --data $(DATA) --out checkpoints/s4d-16h.safetensors
	$(CLI) train s4d-64h --data $(DATA) --out checkpoints/s4d-64h.safetensors
	$(CLI) train s5-mnist --data $(DATA) --out checkpoints/s5-mnist.safetensors
	$(CLI) train s5-mnist-16h --data $(DATA) --out checkpoints/s5-mnist-16h.safetensors
	$(CLI) train s5-listops --out checkpoints/s5-listops.safetensors
	$(CLI) train har $(USERS) --out checkpoints/har.safetensors

manifests: $(READY) ## manifests/ and docs/pipeline.png again from checkpoints/ (DATA=folder of MNIST)
	$(CLI) quantize checkpoints/digits.safetensors --recipe w8a8 --out manifests/digits
	$(CLI) quantize checkpoints/s4d-16h.safetensors --recipe w8a8 --data $(DATA) --out manifests/s4d-16h
	$(CLI) info manifests/digits --picture docs/pipeline.png

accuracy: $(READY) ## results/accuracy.json: float and integer, all test samples (DATA=folder of MNIST)
	mkdir -p out results
	$(CLI) eval checkpoints/digits.safetensors --json > out/accuracy-digits-float.json
	$(CLI) eval manifests/digits --json > out/accuracy-digits-integer.json
	$(CLI) eval checkpoints/s4d-16h.safetensors --data $(DATA) --json > out/accuracy-s4d-16h-float.json
	$(CLI) eval manifests/s4d-16h --data $(DATA) --json > out/accuracy-s4d-16h-integer.json
	$(call collect,accuracy)

rtl: $(READY) ## results/rtl.json: RTL and netlists against the golden model (DATA=folder of MNIST)
bitstreams: $(READY) ## results/bitstreams.json: S4D, S5 and a Mamba on the three boards
boards: $(READY) ## results/boards.json: digits on every board (an hour)
	mkdir -p out results
	for board in $$($(VENV)/bin/python -c "from ssm_hdl.boards.catalog import BOARDS; print(*BOARDS)"); do \
		$(CLI) build manifests/digits --board $$board --rate 5e5 --out out/boards/$$board --json > out/boards-$$board.json \
			|| { echo "$$board: not built" >&2; rm out/boards-$$board.json; }; \
	done
	$(call collect,boards)

bench: $(READY) ## results/bench.json, docs/bench.png: intervals in simulation, clocks by place and route, of the limits (an hour or two)
judge: $(READY) ## results/estimates.json: the estimates of whole pipelines against synthesis (twenty minutes)
reproduce-s4d: $(READY) ## results/s4d.json: the paper's table beside ours, manifests/s4d-* made where missing (DATA=folder of MNIST)
reproduce-s5: $(READY) ## results/s5.json, results/s5-listops.json: Q-S5's tables beside ours, manifests/s5-* made where missing (DATA=folder of MNIST)
rtl bitstreams bench judge reproduce-s4d reproduce-s5: # the rows that are stale
	$(RESULTS) $@

results: $(READY) ## every row that depends on gateware or planner, where it is stale (hours; DATA=folder of MNIST)
	$(RESULTS)
	$(VENV)/bin/python docs/tables.py

calibrate: $(READY) ## gen/costs.json, results/stages.json, estimates.json: LUTs and flip-flops fitted to synthesis (an hour on two cores)
	$(CLI) calibrate $(addprefix manifests/,$(FITTED)) $(addprefix --judge manifests/,$(JUDGED))

reproduce-mamba: $(READY) ## results/mamba.json: Quamba's ablation on a Mamba of a text (TEXT=file, MODELS=names of checkpoints)
	$(CLI) reproduce mamba --data $(TEXT) $(MODELS:%=--model %) --results results/mamba.json

# The keyword model takes the features of one utterance, of which no others are at hand. Constants and accuracy of the other two
# do not matter for their hardware: an epoch is enough.
KWS ?= data/mamba
SMALL := --set taps=2 --set layers=1 --set norm=none --set residual=false --set final_norm=false
mamba-hardware: $(READY) ## results/mamba-hardware.json: Mambas as large and as fast as fit boards (KWS=folder of mamba-kws10*; an hour)
	mkdir -p out results
	$(VENV)/bin/python -P -c "import numpy as np; \
		x = np.load('$(KWS)/mamba-kws10-sample.npy')[None].repeat(3, 0); \
		np.savez('out/kws.npz', x=x, y=[9] * 3, split=['train', 'val', 'test'], classes=list('0123456789'))"
	$(CLI) import $(KWS)/mamba-kws10.safetensors --inputs out/kws.npz --mean 0 --std 1 --residual no --out out/kws.safetensors
	$(CLI) quantize out/kws.safetensors --data out/kws.npz --recipe mamba-w8a8 --out out/kws
	$(CLI) train mamba-digits --set width=20 --set modes=8 --epochs 1 --out out/mamba-20.safetensors
	$(CLI) quantize out/mamba-20.safetensors --recipe mamba-w8a8 --out out/mamba-20
	$(CLI) train mamba-digits --set width=16 $(SMALL) --epochs 1 --out out/mamba-16.safetensors
	$(CLI) quantize out/mamba-16.safetensors --recipe mamba-plain --out out/mamba-16
	$(CLI) simulate out/kws --samples test --data out/kws.npz --device lfe5u-25f --rate 240500 --share-device 600,0,2 --json \
		> out/mamba-hardware-kws-rtl.json
	$(CLI) build out/kws --board ulx3s-25f --rate 240500 --clock 125 --json > out/mamba-hardware-kws.json
	$(CLI) build out/mamba-20 --board ulx3s-25f --rate 1030000 --clock 125 --json > out/mamba-hardware-mamba-20.json
	$(CLI) build out/mamba-16 --board icebreaker --rate 1000 --clock 24 --json > out/mamba-hardware-mamba-16.json
	$(CLI) build manifests/mamba-text-w8a8 --board ulx3s-85f --rate 150000 --json > out/mamba-hardware-text-w8a8.json
	$(call collect,mamba-hardware)

million: $(READY) ## results/million.json: RTL against the golden model of Mambas, over a million tokens and over 65,536 (a quarter of an hour)
	mkdir -p out results
	$(VENV)/bin/python -P -c "import numpy as np; from pathlib import Path; \
		tokens = np.random.default_rng(0).integers(0, 4, (1, 10**6, 1)); np.save('out/million.npy', tokens); \
		Path('out/million.txt').write_text(''.join('acgt'[token] for token in tokens[0, :20_000, 0]))"
	$(CLI) train mamba-text --data out/million.txt --set width=4 --set modes=4 --set layers=1 --epochs 1 --out out/million.safetensors
	$(CLI) quantize out/million.safetensors --data out/million.txt --recipe mamba-w8a8 --out out/million
	$(CLI) simulate out/million --samples out/million.npy --device lfe5u-25f --max --json > out/million-rtl.json
	$(CLI) simulate manifests/mamba-induction-w8a8x8-qat --samples test --window 65536 --count 1 --dsp 28 --json > out/million-induction.json
	$(call collect,million)

# A window of 40,000 steps holds the longest recording. Two run in the RTL of the board, with the same LUTs left for its
# shell, and all of them in a faster pipeline.
har: $(READY) ## results/har.json: a stream of six channels, from training to an iCEBreaker bitstream (HAPT=folder of its text files, or a download)
	mkdir -p out results
	$(CLI) train har $(USERS) --out checkpoints/har.safetensors --json > out/har-train.json
	$(CLI) eval checkpoints/har.safetensors $(USERS) --window 40000 --json > out/har-float.json
	for recipe in w8a8 w4a8; do \
		$(CLI) quantize checkpoints/har.safetensors --recipe recipes/har-$$recipe.yaml $(USERS) --out manifests/har-$$recipe && \
		$(CLI) eval manifests/har-$$recipe $(USERS) --window 40000 --json > out/har-$$recipe.json || exit 1; \
	done
	$(call collect,har)
	$(RESULTS) har

formats: $(READY) ## results/formats.json: the number formats of the recurrence compared (DATA=folder of MNIST)
	$(VENV)/bin/python -P -m ssm_hdl.sw.studies.formats checkpoints/s4d-16h.safetensors --data $(DATA) --out results/formats.json

latching: $(READY) ## results/latching.json, docs/latching.png: how the state of a Mamba is rounded, and how long it remembers (half an hour)
	for seed in 0 1 2; do \
		$(CLI) train mamba-induction --seed $$seed --out out/latching/seed-$$seed.safetensors || exit 1; \
	done
	$(VENV)/bin/python -P -m ssm_hdl.sw.studies.latching out/latching/seed-?.safetensors

sensitivity: $(READY) ## results/sensitivity.json, docs/sensitivity.png: what each part costs (DATA=folder of MNIST; half an hour)
	$(CLI) sensitivity checkpoints/s4d-16h.safetensors --data $(DATA) --out out/sensitivity
	mkdir -p results
	cp out/sensitivity/sensitivity.json results/
	cp out/sensitivity/sensitivity.png docs/

search: $(READY) ## recipes/s4d-16h-2744b.yaml, results/front.json, docs/front.png (DATA=folder of MNIST; half an hour)
	$(CLI) search checkpoints/s4d-16h.safetensors --budget 2744 --trials 60 --samples 64 \
		--sensitivity results/sensitivity.json --data $(DATA) --out out/search
	cp out/search/recipe.yaml recipes/s4d-16h-2744b.yaml
	cp out/search/front.json results/
	cp out/search/front.png docs/

fuzz-files: $(READY) ## results/fuzz-files.json: 100,000 mutated files for each loader; goes on where it was stopped (LOADER=names; an hour)
	$(VENV)/bin/python tests/fuzz_files.py 100000 $(LOADER)

misbehave: $(READY) ## every command on a machine that misbehaves: signals, full disk, no home, tools that hang (a quarter of an hour)
	SSM_HDL_MISBEHAVE=all $(VENV)/bin/pytest tests/sw/test_misbehaviour.py

docs: $(READY) ## the documentation site, into out/site
	$(VENV)/bin/pip install --quiet '.[docs]'
	$(VENV)/bin/mkdocs build --clean

notebooks: $(READY) ## docs/notebooks again, with their outputs (a bitstream among them: minutes)
	for notebook in docs/notebooks/*.ipynb; do $(VENV)/bin/python docs/notebooks/run.py $$notebook || exit 1; done

fuzz: $(READY) ## results/fuzz.json: random graphs in random hardware, on all cores (LEVEL=models, rtl or netlists, GRAPHS=20000; goes on where it ended)
	PYTHONPATH=tests $(VENV)/bin/python -P -W ignore -m random_graphs.fuzz --level $(LEVEL) --graphs $(GRAPHS)

lint-verilog: $(READY) ## results/lint.json: Verilator's warnings for every committed manifest, family and bus; goes on where it ended (half an hour)
	$(VENV)/bin/python -P tests/lint.py results/lint.json

mutants: $(READY) ## results/mutants.json: single faults in the Verilog of three small models, and whether simulate finds them (an hour)
	mkdir -p out results
	$(CLI) quantize checkpoints/s5-digits.safetensors --recipe w4a8 --out out/s5-digits
	$(CLI) quantize checkpoints/mamba-digits.safetensors --recipe mamba-w8a8 --out out/mamba-digits
	SSM_HDL_LIMIT_S=120 PYTHONPATH=tests $(VENV)/bin/python -P -m mutants results/mutants.json manifests/digits out/s5-digits out/mamba-digits

python-mutants: $(READY) ## results/python-mutants.json: single changes of arithmetic, golden model and prices in Python, and their tests (half an hour)
	$(VENV)/bin/pip install --quiet '.[mutants]'
	mkdir -p results
	$(VENV)/bin/python -P -W ignore tests/mutants/python.py results/python-mutants.json

soak: $(READY) ## results/soak.json: RTL of the committed manifests for 10^9 cycles, disturbed at random; goes on where it ended (CYCLES=1e9; hours)
	$(VENV)/bin/python -P tests/soak.py results/soak.json --cycles $(CYCLES)

soak-shell: $(READY) ## results/soak-shell.json: shells of random models with 10^7 frames, whole and damaged, and resets; goes on where it ended (FRAMES=1e7; hours)
	PYTHONPATH=tests $(VENV)/bin/python -P tests/soak_shell.py results/soak-shell.json --frames $(FRAMES)

clean: ## remove what these targets made, but for data/ and results/
	rm -rf $(VENV) build out ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

deep: $(READY) ## results/deep.json: a deep S4D on MNIST, from training to an iCEBreaker bitstream (DATA=folder of MNIST; an hour)
	mkdir -p out results
	$(CLI) train s4d-deep-16h --data $(DATA) --out checkpoints/s4d-deep-16h.safetensors --json > out/deep-train.json
	$(CLI) eval checkpoints/s4d-deep-16h.safetensors --data $(DATA) --json > out/deep-float.json
	for recipe in w8a8x8 w4a8; do \
		$(CLI) quantize checkpoints/s4d-deep-16h.safetensors --recipe $$recipe --data $(DATA) --out manifests/s4d-deep-16h-$$recipe && \
		$(CLI) eval manifests/s4d-deep-16h-$$recipe --data $(DATA) --json > out/deep-$$recipe.json || exit 1; \
	done
	$(call collect,deep)
	$(RESULTS) deep

# The checkpoint is one by example.py of state-spaces/s4, of three inputs. It does not tell its normalisation, which is that of example.py.
cifar: $(READY) ## results/cifar.json: a public model of CIFAR-10, from import to a ULX3S-85F bitstream (CHECKPOINT=file, CROPS=number to calibrate on)
	mkdir -p out results
	echo '"make cifar CHECKPOINT=$(notdir $(CHECKPOINT)) CROPS=$(CROPS)"' > out/cifar-command.json
	$(VENV)/bin/python -P -m ssm_hdl.sw.studies.crops $(CHECKPOINT) out/cifar.npz --train $(CROPS)
	$(CLI) import $(CHECKPOINT) --inputs out/cifar.npz --mean 125.307,122.961,113.8575 --std 51.5865,50.847,51.255 \
		--norm-order postnorm --out out/cifar.safetensors --json > out/cifar-import.json
	$(CLI) quantize out/cifar.safetensors --recipe w8a8 --data out/cifar.npz --out out/cifar
	$(CLI) eval out/cifar --data out/cifar.npz --json > out/cifar-w8a8.json
	$(CLI) simulate out/cifar --samples test --data out/cifar.npz --count 1 --device lfe5u-85f --rate 10000 --clock 40 \
		--share-device 1000,0,2 --json > out/cifar-rtl.json
	$(CLI) build out/cifar --board ulx3s-85f --rate 10000 --clock 40 --out out/cifar-ulx3s-85f --json > out/cifar-ulx3s-85f.json
	$(call collect,cifar)

# HAPT is downloaded to data/hapt where no folder is named.
USERS := $(if $(HAPT),--data $(HAPT))

# The JSON answers out/NAME-*.json into results/NAME.json, by what follows NAME.
define collect
	$(VENV)/bin/python -c "import json, pathlib; from ssm_hdl.files import update_json; \
		files = sorted(pathlib.Path('out').glob('$(1)-*.json')); \
		answers = {file.stem.removeprefix('$(1)-'): json.loads(file.read_text()) for file in files}; \
		update_json(pathlib.Path('results/$(1).json'), answers)"
endef
