"""Licences as servers say them."""

import pytest

from vedette_discoverer.licences import identifier


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("apache-2.0", "Apache-2.0"),
        ("                                 Apache License", "Apache-2.0"),
        ("mit", "MIT"),
        ("MIT License", "MIT"),
        ("LLAMA 3.1 COMMUNITY LICENSE AGREEMENT", "llama3.1"),
        ("META LLAMA 3 COMMUNITY LICENSE AGREEMENT", "llama3"),
        ("Gemma Terms of Use", "gemma"),
        ("gemma", "gemma"),
        ("Microsoft.", "Microsoft."),
        ("Our own terms, of 2026", "Our own terms, of 2026"),
    ],
)
def test_a_licence_has_one_identifier(said: str, known: str) -> None:
    """By its identifier or by the first line of its text; what is not recognised stays as it was said."""
    assert identifier(said) == known
