"""`streamapp doctor`: what is wrong, in words, with the command that mends it."""

from typing import Annotated

import typer
from rich.markup import escape

from streamapp.cli.options import BrokerOption, ConfigFile, settings_from
from streamapp.cluster.checkup import Finding, check_cluster
from streamapp.cluster.host_checkup import check_host
from streamapp.console import JsonFile, speaker, write_json
from streamapp.starter import STARTER_MODEL

EXIT_FAILURES = 1
_MARKS = {"ok": "ok     ", "warning": "WARNING", "failure": "FAILURE"}


def doctor(
    config: ConfigFile = None,
    broker: BrokerOption = None,
    dev: Annotated[bool, typer.Option("--dev", help="Judge topics as for a cluster of one broker.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Check settings, model, broker, topics, permissions, offsets, clock and disk.

    Exit code 0: nothing fails (warnings may stand); 1: something does; 2: the settings cannot be read.
    """
    settings = settings_from(config, broker)
    out = speaker(json_file)
    findings: list[Finding] = []
    for found in (check_host(settings, STARTER_MODEL), check_cluster(settings, dev)):
        for finding in found:
            findings.append(finding)
            out.print(f"{_MARKS[finding.level]}  {finding.check:<12} {finding.message}")
            if finding.mend:
                out.print(f"{'':<22}mend: {finding.mend}")
    failures = sum(finding.level == "failure" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    out.print(escape(f"{failures} failures, {warnings} warnings, {len(findings)} checks"))
    write_json(findings, json_file)
    if failures:
        raise typer.Exit(EXIT_FAILURES)
