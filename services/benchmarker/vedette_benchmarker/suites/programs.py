"""The shape of a Python program, from its syntax tree. Nothing is run."""

import ast
import warnings
from collections.abc import Iterator, Sequence

from vedette_benchmarker.suites.checks import Check, by_text, program

MOST_PROGRAM_CHARS = 8_000

_FORBIDDEN_NODES = (ast.Import, ast.ImportFrom, ast.Global, ast.Nonlocal, ast.AsyncFunctionDef, ast.ClassDef)
_FORBIDDEN_NAMES = frozenset(
    (
        "eval", "exec", "compile", "open", "input", "print", "globals", "locals", "vars", "getattr", "setattr",
        "delattr", "breakpoint", "exit", "quit",
    )
)  # fmt: skip


def function(name: str, parameters: Sequence[str], needs: Sequence[frozenset[str]] = ()) -> Check:
    """Return a check of the shape of a Python program: it is never run.

    It must parse, and hold at its top level functions only, one of them *name* with just *parameters*, which reads
    each of them and returns something that is neither constant nor a parameter as it came. Of each set in *needs*
    the program must have one of the `features`. Imports, classes, input and output, evaluation and names with two
    underscores are forbidden.
    """

    def judge(text: str) -> str:
        tree = _parsed(program(text))
        if tree is None:
            return "not a Python program"
        if not all(isinstance(node, ast.FunctionDef) or _is_docstring(node) for node in tree.body):
            return "more than functions"
        found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        if len(found) != 1:
            return f"does not define {name}"
        return (
            _forbidden(tree)
            or _signature(found[0], parameters)
            or _result(found[0], parameters)
            or next(
                (f"has none of {', '.join(sorted(one))}" for one in needs if not one & features(tree)), ""
            )
        )

    return by_text(judge, raw=True)


def _parsed(source: str) -> ast.Module | None:
    if len(source) > MOST_PROGRAM_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a doubtful escape in a model's program is not ours to report
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


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
    """Return what *tree* uses: operators by their sign, statements, `name()`, `.method()`, and constants by repr."""
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
        # A literal too long to write out (sys.int_info.str_digits_check_threshold) is none that was asked for.
        yield (
            repr(node.value)
            if not isinstance(node.value, int) or abs(node.value) < 10**18
            else "a huge number"
        )
