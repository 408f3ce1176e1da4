"""Style rules that a linter cannot state, checked as one ordinary test.

One pass over the source tree; every complaint reads ``path:line: reason`` so that an editor jumps to it.
Each rule has a planted violation below that it must find.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "perdure"
SOURCE = Path(__file__).parent.parent / "src" / PACKAGE

#: Which layers a layer may import. What is not here is the top and may import all.
MAY_IMPORT: dict[str, set[str]] = {
    "vocabulary": set(),
    "core": {"vocabulary"},
    "ports": {"vocabulary"},
    "engines": {"vocabulary", "ports"},
    "runtime": {"vocabulary", "core", "ports"},
    "transports": {"vocabulary", "core", "runtime"},
    "testing": {"vocabulary", "core", "ports", "engines", "runtime"},
}
TOP = {"cli", "opening", "__main__", "__init__"}
#: Engines never import one another; what they share stands beside them.
ENGINE_SHARED = {"judging"}
PURE_LAYERS = {"vocabulary", "core"}
IMPURE_MODULES = {
    "anyio", "asyncio", "logging", "os", "random", "secrets", "socket", "sqlite3", "threading", "time",
}  # fmt: skip
#: Reads of the outside world that need no import the rule above would catch.
AMBIENT_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "uuid7"}
READS_ENVIRONMENT = "runtime.config"
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70


def complaints(source: Path) -> Iterator[str]:
    graph: dict[str, set[str]] = {}
    for path in sorted(source.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        module = ".".join(path.relative_to(source).with_suffix("").parts)
        where = str(path.relative_to(source.parent))
        graph[module] = set()
        if len(text.splitlines()) > FILE_LINES_MAX:
            yield f"{where}:1: more than {FILE_LINES_MAX} lines"
        if ast.get_docstring(tree) is None:
            yield f"{where}:1: module has no docstring"
        yield from _check_statements(tree, module, where)
        for node in ast.walk(tree):
            yield from _check_node(node, module, where)
        for line, target in _internal_imports(tree, source):
            graph[module].add(target)
            yield from _check_import(module, target, f"{where}:{line}")
    yield from _cycles(graph)


def _check_statements(tree: ast.Module, module: str, where: str) -> Iterator[str]:
    for statement in tree.body:
        is_call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        if is_call and not module.endswith("__main__"):
            yield f"{where}:{statement.lineno}: call at import time"


def _check_node(node: ast.AST, module: str, where: str) -> Iterator[str]:
    layer = module.partition(".")[0]
    pure = layer in PURE_LAYERS
    if isinstance(node, ast.Global):
        yield f"{where}:{node.lineno}: global statement"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES_MAX:
            yield f"{where}:{node.lineno}: {node.name}() is {length} lines long"
        if pure and isinstance(node, ast.AsyncFunctionDef):
            yield f"{where}:{node.lineno}: async def in a pure layer"
    if isinstance(node, ast.Attribute):
        if node.attr in {"environ", "getenv"} and module != READS_ENVIRONMENT:
            yield f"{where}:{node.lineno}: only {READS_ENVIRONMENT} reads the environment"
        if pure and node.attr in AMBIENT_CALLS:
            yield f"{where}:{node.lineno}: .{node.attr} in a pure layer; take it as an argument"
    if pure and isinstance(node, ast.Import | ast.ImportFrom):
        names = (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
        )
        for name in names:
            if name.partition(".")[0] in IMPURE_MODULES:
                yield f"{where}:{node.lineno}: {name} in a pure layer"


def _internal_imports(tree: ast.Module, source: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == PACKAGE:
            base = (node.module or "").partition(".")[2]
            for alias in node.names:
                dotted = f"{base}.{alias.name}" if base else alias.name
                is_module = source.joinpath(*dotted.split(".")).with_suffix(".py").exists()
                yield node.lineno, dotted if is_module else base or "__init__"


def _check_import(module: str, target: str, where: str) -> Iterator[str]:
    layer, other = module.partition(".")[0], target.partition(".")[0]
    if layer in TOP or (layer == other and layer != "engines"):
        return
    if layer != other and other not in MAY_IMPORT.get(layer, set()):
        yield f"{where}: {layer} may not import {other}"
    if layer == other == "engines":
        mine, theirs = (f"{name}.".split(".")[1] for name in (module, target))
        if mine != theirs and theirs not in ENGINE_SHARED:
            yield f"{where}: engine {mine} may not import engine {theirs}"


def _cycles(graph: dict[str, set[str]]) -> Iterator[str]:
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> Iterator[str]:
        if module in trail:
            yield " -> ".join((*trail[trail.index(module) :], module)) + ": import cycle"
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                yield from visit(target, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        yield from visit(module, ())


def test_the_tree_is_tidy() -> None:
    found = list(complaints(SOURCE))

    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("path", "text", "reason"),
    [
        ("core/a.py", '"""D."""\nfrom perdure.runtime import app\n', "core may not import runtime"),
        (
            "runtime/a.py",
            '"""D."""\nfrom perdure.engines.memory import M\n',
            "may not import engines",
        ),
        (
            "engines/sqlite/a.py",
            '"""D."""\nfrom perdure.engines.memory import M\n',
            "may not import engine",
        ),
        ("core/a.py", '"""D."""\nimport time\n', "time in a pure layer"),
        ("core/a.py", '"""D."""\nasync def f(): ...\n', "async def in a pure layer"),
        ("core/a.py", '"""D."""\ndef f(d): return d.now()\n', ".now in a pure layer"),
        ("runtime/a.py", '"""D."""\nimport os\nX = os.environ\n', "reads the environment"),
        ("runtime/a.py", '"""D."""\nprint()\n', "call at import time"),
        ("runtime/a.py", '"""D."""\ndef f():\n    global x\n', "global statement"),
        ("runtime/a.py", "x = 1\n", "no docstring"),
        ("runtime/a.py", '"""D."""\n' + "x = 1\n" * 400, "more than 400 lines"),
        ("runtime/a.py", '"""D."""\ndef f():\n' + "    x = 1\n" * 70, "lines long"),
        ("runtime/a.py", '"""D."""\nfrom perdure.runtime.a import x\n', "import cycle"),
    ],
)
def test_each_rule_finds_its_violation(path: str, text: str, reason: str, tmp_path: Path) -> None:
    source = tmp_path / PACKAGE
    for name in (path, "engines/memory.py", "runtime/app.py"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text('"""D."""\n')
    (source / path).write_text(text)

    assert any(reason in complaint for complaint in complaints(source))
