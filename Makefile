# Everything that is done to this checkout. It needs make and python3 alone: .ci/bootstrap sees to the rest.
.DEFAULT_GOAL := help
.NOTPARALLEL:
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo up test chaos coverage format lock clean environment clients

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile

demo: environment ## a whole day on real purchases, from nothing to a served list
	@RECSYS_HOME="$${RECSYS_HOME:-$$HOME/.recsys-demo}" exec .venv/bin/recsys demo

up: environment ## Dagster, MLflow, the API and the docs of the home that RECSYS_HOME names, until Ctrl-C
	@exec .venv/bin/recsys up

test: environment ## style, types, import contracts, all tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy -p recsys_assets -p recsys_assets_tests
	.venv/bin/lint-imports
	.venv/bin/python -m pytest $(PYTEST)

chaos: environment ## 1,000 races of erasures and opt-outs, readers under faults of the stores (a table), bad days, and every knob
	CHAOS_ROUNDS=1000 .venv/bin/python -m pytest recsys_assets_tests/chaos

coverage: environment ## all tests once more, slower, and which lines they reach
	.venv/bin/coverage erase
	.venv/bin/coverage run -m pytest $(PYTEST)
	.venv/bin/coverage combine --quiet
	.venv/bin/coverage report --skip-covered

# A file's tests share their servers, and whole days, which take longest, come first.
PYTEST = -n 3 --dist loadfile --no-loadscope-reorder --durations=40 --durations-min=5

clients: environment ## the API's typed clients, generated and tried; that of TypeScript needs node and npm
	@if command -v npm >/dev/null; then npm ci --no-audit --no-fund --prefix recsys_assets_tests/clients; \
	else echo "There is no npm here, which comes with Node: the client in TypeScript is left out." >&2; fi
	.venv/bin/python -m pytest -rs recsys_assets_tests/clients

format: environment ## rewrite the sources in the house's style
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

lock: environment ## resolve requirements.lock anew from pyproject.toml
	UV_SYSTEM_CERTS=1 .venv/bin/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 \
		--extra platform --extra local --group dev pyproject.toml -o requirements.lock

clean: ## remove what was made in the checkout (homes stay)
	rm -rf .venv recsys_assets_tests/clients/node_modules dbt_project/target *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment:
	@PYTHON='$(PYTHON)' sh .ci/bootstrap
	@sh .ci/manifest
