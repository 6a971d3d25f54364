"""All built-in evaluation suites, in the order of an evaluation."""

from vedette_benchmarker.suites import (
    Suite,
    arithmetic,
    choice,
    code_generation,
    code_understanding,
    extraction,
    general_knowledge,
    instructions,
    json_schema,
    json_words,
    multilingual,
    needle,
    paraphrase,
    retrieval,
    tool_restraint,
    tools,
)

SUITES: tuple[Suite, ...] = (
    instructions.SUITE,
    arithmetic.SUITE,
    choice.SUITE,
    general_knowledge.SUITE,
    extraction.SUITE,
    code_understanding.SUITE,
    code_generation.SUITE,
    multilingual.SUITE,
    json_words.SUITE,
    json_schema.SUITE,
    tools.SUITE,
    tool_restraint.SUITE,
    needle.SUITE,
    paraphrase.SUITE,
    retrieval.SUITE,
)
