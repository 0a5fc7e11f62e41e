"""Rules that no linter knows: who reads the environment, who defines metrics, what a test may not do."""

import ast

from tests.architecture.source_tree import SHIPPED, called_name, functions_of, python_files, shown, tree_of

# Each with the reason why it is not a setting.
READS_ENVIRONMENT = {
    "streamapp/settings.py": "the one place",
    "streamapp/bench/house.py": "hands the environment on to a child process",
    "streamapp/bench/transformers_side.py": "hands the environment on to a child process",
    "streamapp/cli/worker.py": "takes away a variable that Faust would obey",
    "streamapp/local/demo_house.py": "hands the environment on to a child process",
    "streamapp/local/kafka_process.py": "hands the environment on to a child process",
    "streamapp/local/kafka_runtime.py": "where jars are kept, needed before settings exist",
}
WAITS_FOR_A_PROCESS = {
    "tests/unit/local/test_owned_process.py": "real children, which end when the kernel says so",
}
QUICK_TESTS = ("tests/unit", "tests/properties", "tests/contracts", "tests/architecture")


def test_the_environment_is_read_in_one_place() -> None:
    readers = {
        shown(path)
        for path in python_files(*SHIPPED)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "putenv")
    }
    assert readers <= set(READS_ENVIRONMENT)


def test_metrics_are_defined_in_one_place() -> None:
    kinds = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
    definers = {
        shown(path)
        for path in python_files(*SHIPPED)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and called_name(node) in kinds
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert definers <= {"streamapp/metrics.py", "retrain/metrics.py"}


def test_quick_tests_never_sleep() -> None:
    sleepers = {
        shown(path)
        for path in python_files(*QUICK_TESTS)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and called_name(node) == "sleep" and ast.unparse(node.args[0]) != "0"
    }
    assert sleepers <= set(WAITS_FOR_A_PROCESS)


def test_no_test_replaces_our_own_parts_by_mocks() -> None:
    mocked = [
        shown(path)
        for path in python_files("tests")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom | ast.Import) and "mock" in ast.unparse(node)
    ]
    assert mocked == []


def test_every_test_asserts_something() -> None:
    silent = []
    for path in python_files("tests"):
        functions = {function.name: function for function in functions_of(tree_of(path))}
        asserting = {name for name, function in functions.items() if asserts(function, set())}
        silent += [
            f"{shown(path)}:{name}"
            for name, function in functions.items()
            if name.startswith("test_") and name not in asserting and not asserts(function, asserting)
        ]
    assert silent == []


def asserts(function: ast.AST, asserting: set[str]) -> bool:
    """Whether the function asserts, expects an error, or calls one of this file's or another's that does."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = called_name(node)
            if name in ("raises", "fail", "validate") or name.startswith("assert_") or name in asserting:
                return True
    return False
