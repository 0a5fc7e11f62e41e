"""The `streamapp` command: mounts one file a command."""

import io
import sys

import typer

from streamapp.cli import bench, broker, labels, models, redrive, topics
from streamapp.cli.alerts import alerts
from streamapp.cli.bridge import bridge
from streamapp.cli.demo import demo
from streamapp.cli.demo_learning import demo_learning
from streamapp.cli.doctor import doctor
from streamapp.cli.replay import replay
from streamapp.cli.trends import trends
from streamapp.cli.worker import worker
from streamapp.release import RELEASE

app = typer.Typer(
    help="Watch financial opinion on Kafka: score posts, follow subjects, warn when negative news surges.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(worker)
app.command()(demo)
app.command()(demo_learning)
app.command()(replay)
app.command()(alerts)
app.command()(trends)
app.command()(bridge)
app.command()(doctor)
app.add_typer(broker.app, name="broker")
app.add_typer(bench.app, name="bench")
app.add_typer(topics.app, name="topics")
app.add_typer(redrive.app, name="redrive")
app.add_typer(labels.app, name="labels")
app.add_typer(models.app, name="models")


@app.command()
def version() -> None:
    """The release of this installation."""
    typer.echo(RELEASE)


def main() -> None:
    """Entry point of the `streamapp` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character gets a question mark
    app()
