"""The files that pages load: as released, with their licences, and small enough."""

import hashlib
from pathlib import Path

import vedette_console

STATIC = Path(vedette_console.__file__).with_name("static")
# As npm has them: htmx.org 2.0.11 and uplot 1.6.32.
RELEASED = {
    "htmx.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "uplot.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uplot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
MAX_SCRIPT_BYTES = 120_000


def test_what_others_wrote_is_as_released() -> None:
    for name, digest in RELEASED.items():
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest, name
    assert "Zero-Clause BSD" in (STATIC / "htmx.LICENSE").read_text()
    assert "MIT" in (STATIC / "uplot.LICENSE").read_text()


def test_scripts_stay_small() -> None:
    assert sum(len(file.read_bytes()) for file in STATIC.glob("*.js")) < MAX_SCRIPT_BYTES
