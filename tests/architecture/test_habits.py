"""Rules that no linter knows: who reads the environment, who defines metrics, what a test may not do."""

import ast

import pytest

from tests.architecture.source_tree import (
    REPOSITORY,
    SHIPPED,
    called_name,
    functions_of,
    python_files,
    shown,
    tree_of,
)

# Each with the reason why it is not a setting.
READS_ENVIRONMENT = {
    "streamapp/settings.py": "the one place",
    "retrain/tracking.py": "switches off MLflow's telemetry and bounds its requests before its import",
    "retrain/runs.py": "hands the environment on to a child process",
    "streamapp/bench/house.py": "hands the environment on to a child process",
    "streamapp/bench/transformers_side.py": "hands the environment on to a child process",
    "streamapp/cli/worker.py": "takes away a variable that Faust would obey",
    "streamapp/inference/provider.py": "switches off the usage client of ONNX Runtime before its import",
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
    """By itself or by calling a function of the tests that does."""
    functions = [
        (f"{shown(path)}:{function.name}", function)
        for path in python_files("tests")
        for function in functions_of(tree_of(path))
    ]
    asserting: set[str] = set()
    known = -1
    while known < len(asserting):
        known = len(asserting)
        asserting |= {function.name for _, function in functions if asserts(function, asserting)}
    silent = [
        name
        for name, function in functions
        if name.partition(":test_")[1] and not asserts(function, asserting)
    ]
    assert silent == []


def asserts(function: ast.AST, asserting: set[str]) -> bool:
    """Whether the function asserts, expects an error, or calls one of `asserting`."""
    calls = {called_name(node) for node in ast.walk(function) if isinstance(node, ast.Call)}
    return any(isinstance(node, ast.Assert) for node in ast.walk(function)) or bool(
        calls & ({"raises", "fail", "validate"} | asserting)
    )


@pytest.mark.parametrize("package", SHIPPED)
def test_every_metric_is_set_somewhere(package: str) -> None:
    """One that nothing sets would stand at zero on a dashboard and say that all is well."""
    defined = {
        target.id
        for node in tree_of(REPOSITORY / package / "metrics.py").body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id != "REGISTRY"
    }
    used = {
        node.attr
        for path in python_files(package)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "metrics"
    }
    assert defined
    assert defined - used == set()
