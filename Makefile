# `make` alone prints the targets. Each sets up all that it needs.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest -n auto --dist loadscope
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1

help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.venv/.ready: constraints.txt settings.ini pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] <= (3,13))' || { echo 'Python 3.11 to 3.13 is needed. Hint: make PYTHON=python3.12'; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

setup: .venv/.ready ## make the environment in .venv

demo: .venv/.ready ## the whole story on real flights: promoted, refused, replaced, rolled back
	$(BIN)/mlops-kit demo --out mlops-kit-demo

test: quick slow spark ## all tests

quick: .venv/.ready ## lessons, style, and the tests that take seconds
	$(PYTEST) -m 'not slow and not spark'

slow: .venv/.ready
	$(PYTEST) -m 'slow and not spark'

.venv/.spark: .venv/.ready
	$(BIN)/pip install -q -c constraints.txt -e '.[spark]'
	@touch $@

spark: .venv/.ready ## the tests on a real Spark: installs it where there is Java
	@if ! command -v java >/dev/null; then echo 'no Java: the tests on Spark are left out. Hint: apt-get install openjdk-17-jre-headless'; \
	elif ! $(MAKE) .venv/.spark; then echo 'Spark cannot be installed here: its tests are left out. Hint: see what pip says above'; \
	else $(BIN)/python -m pytest -m spark -W ignore; fi

export: .venv/.ready ## write mlops_kit/ and README.md from the notebooks, and clean them
	$(BIN)/nbdev-clean
	$(BIN)/nbdev-clean --fname promotion_gates
	$(BIN)/nbdev-clean --fname examples
	$(BIN)/nbdev-export
	$(BIN)/python docs/readme.py
	$(BIN)/python docs/reference.py

bench: .venv/.ready ## benchmarks of minutes, as ratios beside the peers
	$(BIN)/python benchmarks/data.py
	$(BIN)/python benchmarks/imports.py
	$(BIN)/python benchmarks/undecided.py
	$(BIN)/python benchmarks/cli.py
	$(BIN)/python benchmarks/gates.py
	$(BIN)/python benchmarks/rollback.py
	$(BIN)/python benchmarks/performance.py
	$(BIN)/python benchmarks/seven.py
	$(BIN)/python benchmarks/dossier.py
	$(BIN)/python benchmarks/fill.py

bench-long: .venv/.ready ## benchmarks of an hour: large tables, memory, other tools in environments of their own
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/data.py --long
	$(BIN)/python benchmarks/fairness.py
	$(BIN)/python benchmarks/alarms.py
	$(BIN)/python benchmarks/site.py
	$(BIN)/python benchmarks/fill.py

self-test: .venv/.ready ## put known faults into a month of flights and see which gate notices
	$(BIN)/python benchmarks/selftest.py

torture: .venv/.ready ## hostile models, kills, races and forgeries at length, on SQLite, PostgreSQL and an MLflow server (an hour)
	MLOPS_KIT_TORTURE=1 $(BIN)/python -m pytest tests/test_hostile.py
	$(BIN)/python tests/torture/race.py --store sqlite --out benchmarks/out/torture_race_sqlite.json
	$(BIN)/python tests/torture/race.py --store postgres --out benchmarks/out/torture_race_postgres.json
	$(BIN)/python tests/torture/race.py --store server --out benchmarks/out/torture_race_server.json
	$(BIN)/python tests/torture/race.py --store server --proxy 0.03 --decisions 45 --out benchmarks/out/torture_race_lossy.json
	$(BIN)/python tests/torture/proxy.py --only 'approve,promote,roll back to,register' --out benchmarks/out/torture_proxy.json
	$(BIN)/python tests/torture/kill.py --store sqlite --next again --random 3 --out benchmarks/out/torture_kill_sqlite.json
	$(BIN)/python tests/torture/kill.py --store postgres --next again --out benchmarks/out/torture_kill_postgres.json
	$(BIN)/python tests/torture/kill.py --store server --next again --out benchmarks/out/torture_kill_server.json
	$(BIN)/python tests/torture/fuzz.py --mutations 2000 --seed 1 --out benchmarks/out/torture_fuzz.json
	$(BIN)/python benchmarks/fill.py

docs: .venv/.ready ## build the site into build/site: guides, gates, examples, reference, every room
	$(BIN)/python docs/build.py

picture: demo ## take the README's picture from the demo's dossier (needs chromium)
	$(BIN)/python docs/picture.py mlops-kit-demo

lock: ## refresh constraints.txt
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install -q '.[dev,spark]'
	build/lock/bin/pip freeze --exclude mlops_kit | grep -v ' @ ' > constraints.txt
	rm -rf build/lock

clean: ## remove what can be made again
	rm -rf .venv build dist *.egg-info mlops-kit-demo runs

.PHONY: help setup demo test quick slow spark export bench bench-long self-test torture docs picture lock clean
