# make demo    set everything up and run every task on the embedded corpus
# make test    set everything up and run the tests
.PHONY: demo test slow lint bench chaos clean

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

demo: $(READY)
	@$(BIN)/python -m pipeline.demo

# tests wait for other processes, so that there are more of them than CPUs, each with one thread that counts
test: $(READY)
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(BIN)/python -m pytest --numprocesses=3

# what takes about a minute each: most kill real jobs and start them again
slow: $(READY)
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python tests/benchmarks/run.py

# whatever may go wrong, until a promise breaks: make chaos MINUTES=30 SEED=1 PARTS=kills,faults
MINUTES ?= 30
chaos: $(READY)
	$(BIN)/python tests/chaos/run.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(PARTS),--parts $(PARTS))

$(READY): pyproject.toml infra/constraints.txt
	@echo "setting up .venv: about 1 GB of packages, a few minutes the first time"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off -c infra/constraints.txt torch
	@echo "  torch is there, now the others"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off -c infra/constraints.txt -e '.[dev]'
	@touch $(READY)

clean:
	rm -rf .venv demo-output build dist *.egg-info
