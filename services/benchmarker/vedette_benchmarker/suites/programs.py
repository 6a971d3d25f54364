"""Finds Python programs in answers, and checks their syntax trees. Nothing is run."""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence

from vedette_benchmarker.answered import Answered
from vedette_benchmarker.suites import Verdict
from vedette_benchmarker.suites.checks import MAX_CHARS, Check
from vedette_benchmarker.suites.wrapping import fences, outside_thoughts

MAX_PROGRAM_CHARS = 8_000

_FORBIDDEN_NODES = (ast.Global, ast.Nonlocal, ast.AsyncFunctionDef, ast.ClassDef)
_FORBIDDEN_NAMES = frozenset(
    (
        "eval", "exec", "compile", "open", "input", "print", "globals", "locals", "vars", "getattr", "setattr",
        "delattr", "breakpoint", "exit", "quit",
    )
)  # fmt: skip


_KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCK = re.compile(r"(?:async\s+def|def|class|import|from|@|[A-Za-z_]\w*\s*=)")
_FENCE_LINE = re.compile(r"\s*(?:```|~~~)")
_TYPOGRAPHY = str.maketrans(
    {"\u00a0": " ", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\ufeff": None}
)


def program(text: str, name: str) -> str:
    """Return the program in an answer that defines *name*: its imports, functions and constants; "" if there is none.

    Text, marks, examples, output and a main guard around it are left out. Of two definitions the last one counts.
    """
    text = outside_thoughts(text)
    if len(text) > MAX_CHARS:
        return ""
    for read in (text, text.translate(_TYPOGRAPHY)):
        whole = [tree for one in (*fences(read), read) if (tree := _parsed(textwrap.dedent(one)))]
        for trees in (whole, _blocks(read)):
            kept = [node for tree in trees for node in tree.body if _is_kept(node, name)]
            if any(_defines(node, name) for node in kept):
                return ast.unparse(ast.Module(body=kept, type_ignores=[])) + "\n"
    return ""


def _blocks(text: str) -> list[ast.Module]:
    """Return the parts of *text* that parse, block by block: a first line with the indented lines below it."""
    lines = [line for line in text.splitlines() if not _FENCE_LINE.match(line)]
    found: list[ast.Module] = []
    block: list[str] = []
    for line in (*_dedented(lines), "end"):
        if block and (not line.strip() or line[0] in " \t)]}" or block[-1].startswith("@")):
            block.append(line)
            continue
        if tree := _parsed("\n".join(block).rstrip("* \n")):
            found.append(tree)
        begun = line.lstrip("*`")
        block = [begun] if _BLOCK.match(begun) else []
    return found


def _dedented(lines: Sequence[str]) -> list[str]:
    """Return *lines* without the indentation of the first definition, as far as they have it."""
    first = next((line for line in lines if _BLOCK.match(line.lstrip(" \t*`"))), "")
    margin = first[: len(first) - len(first.lstrip(" \t"))]
    return [line.removeprefix(margin) for line in lines]


def _is_kept(node: ast.stmt, name: str) -> bool:
    if isinstance(node, _KEPT):
        return True
    uses = any(
        isinstance(inner, ast.Name) and inner.id == name and isinstance(inner.ctx, ast.Load)
        for inner in ast.walk(node)
    )
    return isinstance(node, (ast.Assign, ast.AnnAssign)) and not uses


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name


def function(name: str, parameters: Sequence[str], needs: Sequence[frozenset[str]] = ()) -> Check:
    """Return a check of the shape of the Python program in an answer: it is never run.

    The verdict contains the program, for the sandbox. The shape is right if a function *name* has exactly *parameters*,
    reads each of them, and returns a value that is neither a constant nor an unchanged parameter. The program must have
    at least one of the `features` of each set in *needs*. Classes, input and output, evaluation, and names with two
    underscores are forbidden.
    """

    def check(answered: Answered) -> Verdict:
        found = program(answered.text, name)
        why = judge(found) if found else f"does not define {name}"
        return Verdict(correct=not why, why=why, program=found)

    def judge(source: str) -> str:
        tree = _parsed(source)
        if tree is None:
            return "not a Python program"
        found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        if not found:
            return f"does not define {name}"
        return (
            _forbidden(tree)
            or _signature(found[-1], parameters)
            or _result(found[-1], parameters)
            or next(
                (f"has none of {', '.join(sorted(one))}" for one in needs if not one & features(tree)), ""
            )
        )

    return check


def _parsed(source: str) -> ast.Module | None:
    if len(source) > MAX_PROGRAM_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about a model's program, such as invalid escapes
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _forbidden(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        if isinstance(node, _FORBIDDEN_NODES):
            return f"{type(node).__name__} is forbidden"
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name in _FORBIDDEN_NAMES or name.startswith("__"):
            return f"{name} is forbidden"
    return ""


def _signature(found: ast.FunctionDef, parameters: Sequence[str]) -> str:
    arguments = found.args
    others = (*arguments.posonlyargs, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
    if any(others) or [one.arg for one in arguments.args] != list(parameters):
        return f"its parameters are not {', '.join(parameters)}"
    return "is decorated" if found.decorator_list else ""


def _result(found: ast.FunctionDef, parameters: Sequence[str]) -> str:
    nodes = list(ast.walk(found))
    read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    if not set(parameters) <= read:
        return "leaves a parameter unread"
    results = [node.value for node in nodes if isinstance(node, ast.Return) and node.value is not None]
    if not results:
        return "returns nothing"
    if all(isinstance(one, ast.Constant) for one in results) and len(results) == 1:
        return "returns a constant"
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    untouched = set(parameters) - stored
    if all(isinstance(one, ast.Name) and one.id in untouched for one in results) and len(results) == 1:
        return "returns a parameter as it came"
    return ""


_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.And: "and",
    ast.Or: "or",
    ast.USub: "-",
}
_STATEMENTS: dict[type[ast.AST], str] = {
    ast.For: "for",
    ast.comprehension: "for",
    ast.While: "while",
    ast.If: "if",
    ast.IfExp: "if",
    ast.Slice: "slice",
    ast.Subscript: "[]",
    ast.Dict: "{}",
    ast.DictComp: "{}",
}


def features(tree: ast.AST) -> frozenset[str]:
    """Return the features of *tree*: operators by their sign, statements, `name()`, `.method()`, constants by repr."""
    return frozenset(found for node in ast.walk(tree) for found in _features(node))


def _features(node: ast.AST) -> Iterator[str]:
    sign = _OPERATORS.get(type(node)) or _STATEMENTS.get(type(node))
    if sign:
        yield sign
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield f"{node.func.id}()"
    if isinstance(node, ast.Attribute):
        yield f".{node.attr}()"
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float)):
        # An integer that is too long to print (sys.int_info.str_digits_check_threshold) is not a required one.
        yield (
            repr(node.value)
            if not isinstance(node.value, int) or abs(node.value) < 10**18
            else "a huge number"
        )
