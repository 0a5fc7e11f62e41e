"""Imports point one way, and the contracts cost nothing to import."""

import json
import subprocess
import sys

from tests.architecture.source_tree import REPOSITORY, python_files, shown

HEAVY = {
    "faust",
    "mode",
    "onnxruntime",
    "torch",
    "transformers",
    "aiokafka",
    "kafka",
    "numpy",
    "scipy",
    "asyncio",
}


def loaded_by(*modules: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after it imported these."""
    script = (
        "import sys, json; before = set(sys.modules)\n"
        + "".join(f"import {module}\n" for module in modules)
        + "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def test_layers_hold() -> None:
    # In a process of its own: it silences every logger that there is, and what later tests look for with them.
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_contracts_loads_nothing_heavy() -> None:
    contracts = [module_name(shown(path)) for path in python_files("streamapp/contracts")]
    loaded = {name.partition(".")[0] for name in loaded_by(*contracts)}
    assert loaded & HEAVY == set()


def test_importing_the_package_imports_nothing() -> None:
    assert loaded_by("streamapp") == {"streamapp"}


def test_serving_never_loads_torch() -> None:
    loaded = {name.partition(".")[0] for name in loaded_by("streamapp.app", "streamapp.cli.main")}
    assert loaded & {"torch", "transformers", "retrain"} == set()
