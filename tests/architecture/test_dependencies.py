"""What the image installs may be passed on by anybody: its licences ask for no more than to be named."""

import re
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# By SPDX. MPL-2.0 asks for the source of its own files.
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "BSD",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "PSF-2.0",
    "Zlib",
}
_CLASSIFIED = {
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD License": "BSD",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
PINNED = set(re.findall(r"^([A-Za-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))


def licences(told: PackageMetadata) -> set[str]:
    """Return the identifiers of the licences that a distribution's metadata tells."""
    if expression := told.get("License-Expression"):
        return set(re.findall(r"[A-Za-z0-9.+-]+", expression)) - {"AND", "OR", "WITH"}
    classified = [
        name.rpartition(" :: ")[2]
        for name in told.get_all("Classifier") or ()
        if name.startswith("License :: OSI Approved :: ")
    ]
    named = classified or [told.get("License") or "none told"]
    return {_CLASSIFIED.get(name, name) for name in named}


def test_the_lock_is_read() -> None:
    assert len(PINNED) > 40


@pytest.mark.parametrize("name", sorted(PINNED))
def test_a_licence_allows_passing_on(name: str) -> None:
    """Of what is installed here; a few are for other systems alone."""
    try:
        told = metadata(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not for this system")
    assert licences(told) <= ALLOWED
