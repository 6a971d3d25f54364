# Everything CI checks.
default: lint types contracts lock test

# Format in place.
fmt:
    uv run --group lint ruff format .
    uv run --group lint ruff check --fix .

lint:
    uv run --group lint ruff format --check .
    uv run --group lint ruff check .

types:
    uv run --group lint mypy

contracts:
    uv run --group lint lint-imports

# requirements.lock is what the image installs; it must say what pyproject.toml says, for x86-64 and arm64.
lock:
    bash scripts/lock --check
    bash scripts/wheels

# Write the schema of the chart's values from the settings, and deploy/kubernetes from the chart. It needs helm.
chart *ARGS:
    uv run python scripts/chart-schema {{ARGS}}
    bash scripts/chart {{ARGS}}

# The lane `fast`: every service, provider and command, on scripted model servers.
test *ARGS:
    uv run pytest {{ARGS}}

# All lanes (faults, real models, snippets, image), and a short soak.
test-all *ARGS:
    uv run pytest --lane all {{ARGS}}
    cd tests && uv run python -m faults.soak --minutes 1 --models 100

# What breaks, and what holds: one table (docs/faults.md).
faults *ARGS:
    uv run pytest --faults {{ARGS}}

# The same tests without what protects against their fault: each must fail.
faults-bite:
    uv run pytest --unprotected

# Replicas of every service, load, and a random fault every few seconds.
soak *ARGS:
    cd tests && uv run python -m faults.soak {{ARGS}}

# What grows with an endpoint that lists other names each time.
growth *ARGS:
    cd tests && uv run python -m faults.growth {{ARGS}}

# Real servers, killed and replaced by a timeline, and what Vedette says of them (docs/real-servers.md).
fleet *ARGS:
    cd tests && uv run python -m faults.fleet {{ARGS}}

# Known vulnerabilities in what is locked.
audit:
    bash scripts/audit

# Figures for docs/benchmarks.md: ratios, side by side, in one run.
bench *ARGS:
    cd tests && uv run python -m benchmarks {{ARGS}}

demo:
    uv run --extra demo vedette demo
