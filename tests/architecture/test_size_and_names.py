"""Files and functions stay small, their names say something, and every module says what it is for."""

import ast
import re

from tests.architecture.source_tree import (
    REPOSITORY,
    SHIPPED,
    Function,
    code_lines,
    functions_of,
    python_files,
    shown,
    tree_of,
)

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_POSITIONAL = 7
MAX_ARGUMENTS = 9
# Path or `path:function` that may break a rule, with the reason. Keep it empty.
EXCEPTIONS: dict[str, str] = {}

VAGUE = {
    "util", "utils", "common", "helper", "helpers", "misc", "base", "manager", "handler", "processor", "engine", "data",
    "info", "cfg", "ctx", "tools", "stuff", "core_utils", "shared", "types", "constants", "functions", "lib",
}  # fmt: skip

ALL_FILES = python_files(*SHIPPED, "tests")
SHIPPED_FILES = python_files(*SHIPPED)


def is_command(function: Function) -> bool:
    """A command's arguments are the options of the command line."""
    markers = " ".join(map(ast.unparse, function.decorator_list))
    return "typer." in ast.unparse(function.args) or re.search(r"\.(command|callback)\(", markers) is not None


def arguments(function: Function) -> tuple[int, int]:
    """Positional ones (`self` included), and all."""
    positional = len(function.args.posonlyargs) + len(function.args.args)
    return positional, positional + len(function.args.kwonlyargs)


def too_long_functions() -> list[str]:
    return [
        f"{shown(path)}:{function.name} has {code_lines(function)} lines"
        for path in ALL_FILES
        for function in functions_of(tree_of(path))
        if code_lines(function) > MAX_FUNCTION_LINES and f"{shown(path)}:{function.name}" not in EXCEPTIONS
    ]


def test_files_are_small() -> None:
    lines = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in ALL_FILES}
    assert {
        path: count for path, count in lines.items() if count > MAX_FILE_LINES and path not in EXCEPTIONS
    } == {}


def test_functions_are_small() -> None:
    assert too_long_functions() == []


def test_functions_take_few_arguments() -> None:
    over = [
        f"{shown(path)}:{function.name} takes {arguments(function)}"
        for path in ALL_FILES
        for function in functions_of(tree_of(path))
        if not is_command(function)
        and (arguments(function)[0] > MAX_POSITIONAL or arguments(function)[1] > MAX_ARGUMENTS)
        and f"{shown(path)}:{function.name}" not in EXCEPTIONS
    ]
    assert over == []


def test_the_list_of_exceptions_is_empty() -> None:
    assert EXCEPTIONS == {}


def test_no_file_or_folder_has_a_vague_name() -> None:
    names = {part for path in ALL_FILES for part in path.relative_to(REPOSITORY).with_suffix("").parts}
    assert {name for name in names if name.removeprefix("test_") in VAGUE} == set()


def test_every_shipped_module_says_what_it_is_for() -> None:
    assert [shown(path) for path in SHIPPED_FILES if not ast.get_docstring(tree_of(path))] == []


def test_the_module_docstring_of_every_package_is_all_it_holds() -> None:
    packages = [path for path in python_files("streamapp") if path.name == "__init__.py"]
    with_code = [shown(path) for path in packages if len(tree_of(path).body) > 1]
    assert set(with_code) <= {"streamapp/symbols/__init__.py"}


def test_public_names_of_contracts_and_core_have_docstrings() -> None:
    bare = [
        f"{shown(path)}:{node.name}"
        for path in python_files("streamapp/contracts", "streamapp/core")
        for node in public_names(tree_of(path))
        if not ast.get_docstring(node) and "overload" not in map(ast.unparse, node.decorator_list)
    ]
    assert bare == []


def public_names(module: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Functions and classes of the module and methods of its classes, without a leading underscore."""
    found: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
    for node in module.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            found.append(node)
            if isinstance(node, ast.ClassDef):
                found += [
                    method for method in node.body if isinstance(method, Function) and method.name[0] != "_"
                ]
    return found
