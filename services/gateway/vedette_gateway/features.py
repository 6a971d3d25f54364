"""Features of the words and the form of a request, and their points for use cases: two tables. Pure.

Each word costs one look-up, so the time depends only on the length of the text.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from vedette_gateway.said import Said

# Words and phrases of each feature, in several languages. A phrase has at most three words.
_WORDS: Final[Mapping[str, str]] = {
    "summarise": (
        "summarise, summarize, summarises, summary, summaries, tl dr, tldr, condense, shorten, shorter, "
        "gist, recap, takeaways, key points, main points, important points, overview, minutes, boil, in "
        "one sentence, digest, headline, action items, needs to know, compress, bullet points, what was "
        "decided, in short, abstract, fasse, fass, zusammen, zusammenfassung, zusammenfassen, "
        "kurzfassung, résume, résumer, résumé, synthèse, resume, resumen, resumir, sintetiza, riassumi, "
        "riassunto, resuma"
    ),
    "extract": (
        "extract, extracts, extraction, extrahiere, extrahieren, extrais, extraire, extrae, extraer, "
        "estrai, extraia, pull out, pull every, pull the, pull all, get me the, find all, find every, "
        "list all, list every, line items, are mentioned, is mentioned, mentioned in, named entities, "
        "entities, fields, fill, parse, scrape, lies, ids, as csv, into csv, to json, into json, a table, "
        "all dates, all names"
    ),
    "form": (
        "json, csv, yaml, xml, null, schema, keys, columns, table, answer with, only, label only, number "
        "only, one word, from the text, from this, from the following, aus dem text, de ce texte, de este "
        "texto"
    ),
    "label": (
        "classify, classifier, classification, categorise, categorize, label, labels, tag, tags, "
        "sentiment, spam, yes or no, yes no, positive negative, one of, parts of speech, klassifiziere, "
        "kategorisiere, classifie, clasifica, rate the, which category, what language is"
    ),
    "document": (
        "docstring, docstrings, readme, documentation, document, documents this, jsdoc, javadoc, doxygen, "
        "rustdoc, godoc, changelog, release notes, contributing, man page, runbook, adr, design doc, "
        "tutorial, a guide, user guide, installation guide, started guide, style guide, guide for, guide "
        "on, getting started, faq, reference page, api reference, openapi, comments, comment this, write "
        "docs, docs, doc, technical writer, write it up, help text, troubleshooting, onboarding, pr "
        "description, commit message, manual, wiki page, how to guide, dokumentation, dokumentiere, "
        "anleitung, handbuch, documente, documentación, documenta, guía, manuel, notice, documentazione"
    ),
    "make": (
        "write, implement, implements, create, build, generate, add, make, convert, port to, port this, "
        "rewrite, refactor, fix, develop, code, program, migrate, extend, optimise, optimize, complete, "
        "translate this code, corrected version, show me the code, wire, set up, plot, give me an "
        "example, i need, we need, schreibe, schreib, erstelle, implementiere, programmiere, baue, écris, "
        "écrire, crée, implémente, coder, code moi, escribe, crea, implementa, necesito, scrivi, now in, "
        "rename, replace"
    ),
    "program": (
        "function, functions, script, class, method, component, regex, regexp, sql, query, endpoint, "
        "dockerfile, algorithm, module, unit test, unit tests, pytest, tests, test, cli, workflow, html, "
        "css, bash, shell, one liner, snippet, rest api, library, python, java, javascript, typescript, "
        "rust, c++, c#, kotlin, haskell, swift, php, ruby, golang, in go, in c, terraform, react, vue, "
        "angular, django, flask, fastapi, express, pandas, numpy, matplotlib, postgres, kubernetes, helm, "
        "ansible, makefile, cmake, github actions, yaml, type hints, async, localstorage, funktion, "
        "skript, klasse, fonction, classe, función, consulta, clase, stdin, stdout, parquet, git, thread "
        "safe, linked list, array, string, codebase, repository, code only, typescript developer, "
        "software engineer, complete code, coding assistant, unittest, api, pull request, webhook, cron, "
        "crontab, json schema"
    ),
    "explain": (
        "explain, explains, what does, what do, why does, why is, why do, walk me, how does, how do, "
        "understand, output of, what will, does it, is there, are there, review, reviewer, bug, bugs, "
        "spot, trace, complexity, race condition, deadlock, what happens, where is, which of these, what "
        "is the cause, the cause, mean, means, match, returns, return, decide, compare, wrong with, "
        "faster, slow, leak, would do, injection, when is, handles, can the, does this, erkläre, erklär, "
        "was macht, warum, explique, expliquer, que fait, pourquoi, explica, qué hace, spiega, cosa fa"
    ),
    "compute": (
        "prove, proof, how many, how long, how far, how much, how old, probability, solve, calculate, "
        "compute, derive, derivative, integral, step by step, puzzle, equation, remainder, divisible, "
        "induction, comes next, shortest possible, estimate, expected number, average speed, largest, "
        "smallest, larger, cheaper, yields, makespan, possible, arrangements, simplify, justify, "
        "necessarily, mathematician, show your, reason, reasoning, think carefully, final answer, is it "
        "possible, how do you find, what single question, beweise, wahrscheinlichkeit, wie viele, wie "
        "groß, wie lange, berechne, löse, démontrez, démontre, combien, calcule, probabilité, résous, "
        "cuántos, cuántas, cuánto, demuestra, calcula, probabilidad, a qué hora, quanti, dimostra, odds, "
        "percent, converge, factor"
    ),
    "logic": (
        "if, all, each, exactly, at least, twice, half, lies, lying, truth, doors, guards, coins, dice, "
        "flips, cards, together, more than, minutes, hours, hour, km h, km, machines, arrives, leaves, "
        "row, left of, next to, wolf, river, weighings, allergic, owns, invest, compounded, sequence, "
        "integer, integers, prime, primes, würfeln, premiers, primos, pairs, impairs, rest, prozent"
    ),
    "talk": (
        "hi, hello, hey, thanks, thank you, good morning, how are you, recommend, suggest, opinion, "
        "should i, joke, poem, story, limerick, an email, email to, polite email, cover letter, a letter, "
        "apologise, friendlier, rephrase, formally, polite, translate, what would you do, any tips, tips, "
        "pros and cons, favourite, you like, present for, names for, name for, weekend, hallo, danke, "
        "hola, gracias, bonjour, salut, merci, ciao, empfiehl, empfehlen, recomiendas, recommande, "
        "chiste, no code, my friend, my boss, my landlord, birthday, capital, who wrote, who won, i feel, "
        "upset, roleplay, song, novel, novels, friendly assistant, ten year old, to a child"
    ),
}
# For languages without spaces between words: a text with one of these parts shows the feature.
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "summarise": ("总结", "概括", "摘要", "要約", "要点", "요약"),
    "extract": ("提取", "抽取", "抽出", "추출"),
    "label": ("分类", "情感", "分類"),
    "document": ("文档", "readme", "ドキュメント", "说明书", "注释"),
    "make": ("写", "实现", "编写", "生成", "書いて", "作成", "작성"),
    "program": ("函数", "代码", "脚本", "程序", "関数", "コード", "算法", "함수"),
    "explain": ("解释", "作用", "什么意思", "什么问题", "説明", "설명"),
    "compute": ("多少", "证明", "推理", "概率", "计算", "几个", "証明", "計算"),
    "talk": ("你好", "推荐", "聊", "心情", "こんにちは", "안녕"),
}
# Points of features for use cases; if several features are named, all must be present.
WEIGHTS: Final[tuple[tuple[str, str, float], ...]] = (
    ("", "chat", 1.0),
    ("talk", "chat", 2.0),
    ("short", "chat", 0.5),
    ("summarise", "summarisation", 3.0),
    ("summarise pasted", "summarisation", 1.5),
    ("bare", "summarisation", 1.0),
    ("bare long", "summarisation", 1.5),
    ("pasted", "summarisation", 0.5),
    ("extract", "extraction", 2.2),
    ("extract pasted", "extraction", 1.0),
    ("form", "extraction", 0.8),
    ("form pasted", "extraction", 1.0),
    ("label", "extraction", 2.5),
    ("json", "extraction", 2.5),
    ("document", "documentation", 3.5),
    ("document make", "documentation", 1.5),
    ("document", "code_generation", -2.0),
    ("document code", "documentation", 1.0),
    ("make program", "code_generation", 2.5),
    ("make code", "code_generation", 2.2),
    ("program", "code_generation", 1.2),
    ("make", "code_generation", 0.4),
    ("code", "code_generation", 0.7),
    ("code", "code_understanding", 1.2),
    ("explain code", "code_understanding", 2.5),
    ("explain program", "code_understanding", 1.5),
    ("explain inline", "code_understanding", 2.0),
    ("question code", "code_understanding", 1.0),
    ("stack", "code_understanding", 1.5),
    ("diff", "code_understanding", 1.5),
    ("compute", "reasoning", 2.5),
    ("logic", "reasoning", 0.8),
    ("numbers", "reasoning", 0.8),
    ("numbers question", "reasoning", 0.8),
    ("formula", "reasoning", 1.5),
    ("compute code", "reasoning", -2.0),
)
# The name of a feature in the reason of a guess.
SHOWN: Final[Mapping[str, str]] = {
    "": "no sign of another use case",
    "summarise": "a wish for something shorter",
    "extract": "a wish for what is in a text",
    "form": "a form for the answer",
    "label": "a wish for a label",
    "json": "a JSON object",
    "document": "a wish for documentation",
    "make": "a wish for something new",
    "program": "words of programmers",
    "explain": "a wish for an explanation",
    "compute": "a wish for a result",
    "logic": "words of puzzles",
    "talk": "words of conversations",
    "code": "code",
    "inline": "code in a line",
    "pasted": "a pasted text",
    "long": "a long text",
    "bare": "no question",
    "short": "a short question",
    "question": "a question",
    "numbers": "numbers",
    "formula": "a formula",
    "stack": "a stack trace",
    "diff": "a diff",
}

_SPLIT: Final = re.compile(r"[^\W_][\w+#]*")
_EARLY: Final = 3  # words of a beginning
_PASTED_BYTES: Final = 200
_LONG_BYTES: Final = 3000
_SHORT_CHARACTERS: Final = 160
_MIN_NUMBERS: Final = 2
_FORMULA: Final = re.compile(r"\w ?[\^=*] ?\w|\w\(x\)|\d [-+/] \d")


def _table() -> dict[str, list[tuple[tuple[str, ...], str]]]:
    """Return, by the first word of phrases, the words that must follow, and the feature."""
    found: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for feature, phrases in _WORDS.items():
        for phrase in phrases.split(", "):
            first, *more = phrase.split()
            found.setdefault(first, []).append((tuple(more), feature))
    return found


_BY_WORD: Final = _table()


def of_words(text: str) -> dict[str, float]:
    """Return the strength of each feature that words of *text* show: 1.5 within the first three words, else 1."""
    lower = text.lower()
    words = _SPLIT.findall(lower)
    found: dict[str, float] = {}
    for at, word in enumerate(words):
        for more, feature in _BY_WORD.get(word, ()):
            if not more or tuple(words[at + 1 : at + 1 + len(more)]) == more:
                found.setdefault(feature, 1.5 if at < _EARLY else 1.0)
    if not lower.isascii():
        for feature, parts in _PARTS.items():
            if any(part in lower for part in parts):
                found.setdefault(feature, 1.0)
    return found


def of_form(said: Said) -> Iterator[str]:
    """Yield the features that the form of a request shows."""
    asked = said.asked
    if said.code > 0 and said.code * 4 >= said.prose:
        yield "code"
    if said.has_inline:
        yield "inline"
    if said.has_diff:
        yield "diff"
    if said.has_stack:
        yield "stack"
    if not asked and said.edges:
        yield "bare"
    if said.pasted >= _PASTED_BYTES:
        yield "pasted"
    if said.length >= _LONG_BYTES:
        yield "long"
    if len(asked) <= _SHORT_CHARACTERS and said.pasted < _PASTED_BYTES:
        yield "short"
    if "?" in asked or "\uff1f" in asked:
        yield "question"
    if sum(word[0].isdigit() for word in asked.split()) >= _MIN_NUMBERS:
        yield "numbers"
    if not said.code and _FORMULA.search(asked):
        yield "formula"
