"""What the commands of both programs say and write in common: words to a terminal, a result as JSON, one-line errors.

Must not know settings, Kafka or any command.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer
from rich.console import Console

EXIT_USAGE: Final = 2
EXIT_BROKER: Final = 3

JsonFile = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON to FILE, or - for stdout."),
]

console = Console(soft_wrap=True, highlight=False, markup=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


def stop(message: str, code: int) -> typer.Exit:
    """Prints `message` to stderr; raise what it returns."""
    errors.print(message, style="red")
    return typer.Exit(code)


def speaker(json_file: str | None) -> Console:
    """Where words for people go: not to stdout while that carries JSON."""
    return errors if json_file == "-" else console


def write_json(result: Any, json_file: str | None) -> None:
    """Writes `result` where --json says, if it does."""
    if json_file is None:
        return
    content = msgspec.json.format(msgspec.json.encode(result)) + b"\n"
    if json_file == "-":
        sys.stdout.write(content.decode())
    else:
        Path(json_file).write_bytes(content)
