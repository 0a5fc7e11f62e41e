"""The `retrain` command: mounts one file a command."""

import io
import sys

import typer

from retrain.cli import bench, labels
from retrain.cli.once import once
from retrain.cli.runs import runs
from retrain.cli.serve import serve
from streamapp.release import RELEASE

app = typer.Typer(
    help="Keep labels, train on them, prove the better model and publish it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(once)
app.command()(runs)
app.add_typer(labels.app, name="labels")
app.add_typer(bench.app, name="bench")


@app.command()
def version() -> None:
    """The release of this installation."""
    typer.echo(RELEASE)


def main() -> None:
    """Entry point of the `retrain` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character gets a question mark
    app()
