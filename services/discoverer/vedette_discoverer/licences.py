"""Finds the identifier of a licence in a server's text. Pure.

It is SPDX's identifier if there is one (License List 3.27), else Hugging Face's. A text that is not recognised stays
unchanged. The texts are those of Ollama's library, 2026-11-25.
"""

_IDENTIFIERS = (
    "Apache-2.0",
    "MIT",
    "BSD-3-Clause",
    "CC-BY-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-SA-4.0",
    "GPL-3.0-only",
)
_BY_ID = {identifier.casefold(): identifier for identifier in _IDENTIFIERS}
_BY_FIRST_LINE = {
    "apache license": "Apache-2.0",  # 1.x call themselves "The Apache Software License"
    "apache license, version 2.0": "Apache-2.0",
    "mit license": "MIT",
    "the mit license (mit)": "MIT",
    "llama 2 community license agreement": "llama2",
    "meta llama 3 community license agreement": "llama3",
    "llama 3.1 community license agreement": "llama3.1",
    "llama 3.2 community license agreement": "llama3.2",
    "llama 3.3 community license agreement": "llama3.3",
    "gemma terms of use": "gemma",
}


def identifier(said: str) -> str:
    """Return the identifier of the licence *said*: an identifier or a title. Any other text is returned unchanged."""
    plain = " ".join(said.split()).casefold()
    return _BY_ID.get(plain) or _BY_FIRST_LINE.get(plain) or said
