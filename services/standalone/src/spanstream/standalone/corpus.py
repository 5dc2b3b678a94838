"""The first corpus: the documentation of this machine's Python standard library, a document per module.

Modules written in Python are read, not imported: their docstrings come from the syntax tree. Modules compiled into the
interpreter have no source; those of a short list that is harmless to import are asked with `inspect`.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import platform
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from spanstream.client import Document

SOURCE = "python-docs"
# fmt: off
COMPILED = frozenset({
    "array", "atexit", "binascii", "builtins", "cmath", "datetime", "decimal", "errno", "fcntl", "gc", "grp",
    "io", "itertools", "marshal", "math", "mmap", "pwd", "pyexpat", "resource", "select", "struct", "sys",
    "syslog", "termios", "time", "unicodedata", "zlib",
})
# fmt: on
LEFT_OUT = frozenset(
    {"antigravity", "this", "idlelib", "turtledemo", "test", "tests", "lib2to3", "distutils", "ensurepip", "encodings"}
)


def documents(library: Path | None = None) -> Iterator[Document]:
    """A Markdown document for every public module that has documentation, by name."""
    folder = library or Path(sysconfig.get_path("stdlib"))
    for name, path in _modules(folder):
        if name not in COMPILED and (text := _from_source(name, path)):
            yield _document(name, text, package=path.name == "__init__.py")
    for name in sorted(COMPILED):
        if name in sys.stdlib_module_names and (text := _from_interpreter(name)):
            yield _document(name, text, package=False)


def _document(name: str, text: str, *, package: bool) -> Document:
    metadata = {
        "kind": "package" if package else "module",
        "module": name.partition(".")[0],
        "python": ".".join(platform.python_version_tuple()[:2]),
    }
    return Document(name, text, title=name, content_type="text/markdown", metadata=metadata)


def _modules(folder: Path) -> Iterator[tuple[str, Path]]:
    for name in sorted(sys.stdlib_module_names):
        if name.startswith("_") or name in LEFT_OUT:
            continue
        if (module := folder / f"{name}.py").is_file():
            yield name, module
        for path in sorted((folder / name).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            shown = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(part.startswith("_") or part in LEFT_OUT for part in shown):
                yield ".".join(shown), path


def _from_source(name: str, path: Path) -> str:
    try:
        with warnings.catch_warnings(action="ignore"):  # old string escapes in the library are not our affair
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return ""
    parts = [_section(1, name, ast.get_docstring(tree))]
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and _public(node.name):
            bases = f"({', '.join(map(ast.unparse, node.bases))})" if node.bases else ""
            parts.append(_section(2, f"class {node.name}{bases}", ast.get_docstring(node)))
            for child in node.body:
                if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and _public(child.name):
                    parts.append(_section(3, f"{node.name}.{_signature(child)}", ast.get_docstring(child)))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _public(node.name):
            parts.append(_section(2, _signature(node), ast.get_docstring(node)))
    return "".join(parts)


def _from_interpreter(name: str) -> str:
    module: ModuleType = importlib.import_module(name)
    parts = [_section(1, name, inspect.getdoc(module))]
    for member, value in sorted(vars(module).items()):
        if _public(member) and (inspect.isclass(value) or inspect.isroutine(value)):
            kind = "class " if inspect.isclass(value) else ""
            parts.append(_section(2, f"{kind}{member}{_inspected(value)}", inspect.getdoc(value)))
    return "".join(parts)


def _section(level: int, heading: str, text: str | None) -> str:
    """A heading with its documentation; nothing where there is none."""
    return f"{'#' * level} {heading}\n\n{text.strip()}\n\n" if text and text.strip() else ""


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return f"{node.name}({ast.unparse(node.args)})"


def _inspected(value: object) -> str:
    try:
        return str(inspect.signature(value))  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return ""


def _public(name: str) -> bool:
    return not name.startswith("_")
