"""The command that adds an extra fits how Vedette was installed."""

import json
from collections.abc import Mapping
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any

import pytest

from vedette.local import installing

WHEEL = "file:///tmp/vedette-0.1.0-py3-none-any.whl"


def _installed(
    prefix: Path, installer: str, origin: Mapping[str, Any] | None = None, **files: str
) -> installing.Installed:
    """Return how Vedette is found to be installed in an environment with these files."""
    info = prefix / "vedette-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "INSTALLER").write_text(f"{installer}\n")
    if origin is not None:
        (info / "direct_url.json").write_text(json.dumps(origin))
    for name, text in files.items():
        (prefix / name.replace("__", ".")).write_text(text)
    return installing.detect(prefix, PathDistribution(info))


def test_a_checkout_with_its_own_environment_is_synced(tmp_path: Path) -> None:
    origin = {"url": tmp_path.as_uri(), "dir_info": {"editable": True}}
    found = _installed(tmp_path / ".venv", "uv", origin)
    assert installing.command("demo", found) == f"uv sync --project {tmp_path} --inexact --extra demo"


@pytest.mark.parametrize(
    ("installer", "install"),
    [("pip", "{}/bin/python -m pip install"), ("uv", "uv pip install --python {}/bin/python")],
)
def test_an_environment_of_the_users_own(installer: str, install: str, tmp_path: Path) -> None:
    """The command names the environment: another one may be active."""
    origins = {
        "index": None,
        "wheel": {"url": WHEEL, "archive_info": {}},
        "editable": {"url": "file:///src/my%20vedette", "dir_info": {"editable": True}},
        "git": {"url": "https://host/vedette", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
    }
    wanted = {
        "index": "'vedette[mcp]'",
        "wheel": f"'vedette[mcp] @ {WHEEL}'",
        "editable": "--editable '/src/my vedette[mcp]'",
        "git": "'vedette[mcp] @ git+https://host/vedette@abc'",
    }
    for kind, origin in origins.items():
        found = _installed(tmp_path / kind, installer, origin)
        assert installing.command("mcp", found) == f"{install.format(tmp_path / kind)} {wanted[kind]}"


def test_a_tool_is_installed_again_with_the_extras_that_it_has(tmp_path: Path) -> None:
    receipt = '[tool]\nrequirements = [{ name = "vedette", extras = ["mcp"] }, { name = "other" }]\n'
    found = _installed(tmp_path / "uv", "uv", **{"uv-receipt__toml": receipt})
    assert installing.command("embedded", found) == "uv tool install 'vedette[embedded,mcp]'"
    metadata = json.dumps({"main_package": {"package_or_url": "vedette[mcp]"}})
    found = _installed(tmp_path / "pipx", "pip", **{"pipx_metadata__json": metadata})
    assert installing.command("embedded", found) == "pipx install --force 'vedette[embedded,mcp]'"


def test_this_installation_is_recognised() -> None:
    assert "demo" in installing.command("demo")
