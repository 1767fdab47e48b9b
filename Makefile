# make demo   profile the example models here and on a simulated board: no board, no root, no compiler
# make test   install what the tests need and run them all
# make quick  style, types and unit tests: the inner loop
# make test-index   is the matrix of runtimes for boards what the package index has?
# make test-virtual-pi   the whole of tests/virtual_pi: each Raspberry Pi with each Debian, in an emulator
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Certificates of the system, as pip takes them: behind a company's proxy uv's own do not do.
export UV_SYSTEM_CERTS := 1
export UV_NATIVE_TLS := 1

.PHONY: demo test quick test-index test-virtual-pi lint types check bench readme fuzz clean

demo: $(VENV)/.demo
	$(BIN)/edgeprof profile examples/models/kws_int8.tflite
	$(BIN)/edgeprof profile examples/models/kws_int8.tflite --target emu:cortex-m4
	$(BIN)/edgeprof profile examples/models/kws_int8.tflite --target local --target sim:nucleo-l4r5zi --target sim:raspberry-pi-5 --runs 300

test: $(VENV)/.test
	$(BIN)/python scripts/check.py

quick: $(VENV)/.test
	$(BIN)/python scripts/check.py quick

test-index: $(VENV)/.test
	$(BIN)/python scripts/test_index.py

test-virtual-pi: $(VENV)/.test
	$(BIN)/python scripts/fetch_virtual_pi.py --wheels bookworm bullseye
	EDGEPROF_VIRTUAL_PI=all $(BIN)/pytest -q tests/virtual_pi

lint: $(VENV)/.test
	$(BIN)/python scripts/check.py lint

bench: $(VENV)/.test
	$(BIN)/python scripts/bench.py $(SECTIONS)

readme: $(VENV)/.test
	$(BIN)/python scripts/write_readme.py

fuzz: $(VENV)/.test
	$(BIN)/python scripts/fuzz_model.py --seconds 600
	$(BIN)/python scripts/fuzz_bundle.py --seconds 600
	$(BIN)/python scripts/fuzz_npz.py --seconds 600
	$(BIN)/python scripts/fuzz_result.py --seconds 600

$(VENV)/.uv: scripts/bootstrap.py
	$(PYTHON) scripts/bootstrap.py $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.uv pyproject.toml uv.lock
	UV_PROJECT_ENVIRONMENT=$(VENV) $(VENV)-tools/bin/uv sync --locked --no-default-groups --extra emu --inexact --quiet
	@touch $@

$(VENV)/.test: $(VENV)/.uv pyproject.toml uv.lock
	UV_PROJECT_ENVIRONMENT=$(VENV) $(VENV)-tools/bin/uv sync --locked --all-groups --inexact --quiet
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-tools .cache build dist
