# Everything CI checks.
default: lint types contracts lock test

# Format in place.
fmt:
    uv run ruff format .
    uv run ruff check --fix .

lint:
    uv run ruff format --check .
    uv run ruff check .

types:
    uv run mypy

contracts:
    uv run lint-imports

# requirements.lock is what the image installs; it must say what pyproject.toml says.
lock:
    bash scripts/lock --check

test *ARGS:
    uv run pytest {{ARGS}}

# Figures for docs/benchmarks.md: ratios, side by side, in one run.
bench *ARGS:
    cd tests && uv run python -m benchmarks {{ARGS}}

demo:
    uv run --extra demo vedette demo
