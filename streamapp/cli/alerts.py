"""`streamapp alerts`: surges as people see them, the newest revision of each, or every revision as it comes."""

from __future__ import annotations

from typing import Annotated, Final

import typer
from rich.text import Text

from streamapp.cli.follow import PIPE_WIDTH, Follow, Listing, Since, company_names, list_or_follow
from streamapp.cli.options import BrokerOption, ConfigFile, settings_from
from streamapp.console import JsonFile, speaker
from streamapp.contracts.messages import Alert
from streamapp.contracts.topics import ALERTS
from streamapp.local.alert_card import CardStyle, alert_lines
from streamapp.local.newest_revisions import NewestRevisions

HEADLINES: Final = 5
MIN_WIDTH: Final = 100


def alerts(
    config: ConfigFile = None,
    broker: BrokerOption = None,
    follow: Follow = False,
    subject: Annotated[
        str | None, typer.Option(help="Only this one: company:AAPL, topic:central_banks.")
    ] = None,
    since: Since = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are not resolved.")] = False,
    json_file: JsonFile = None,
) -> None:
    """List alerts, oldest first, each with what was expected, what was seen, and the headlines behind it."""
    settings = settings_from(config, broker)
    words = speaker(json_file)
    width = max(MIN_WIDTH, words.width) if words.is_terminal else PIPE_WIDTH
    style = CardStyle(name_of=company_names(settings), headlines=HEADLINES, width=width)
    at_their_height: dict[str, Alert] = {}

    def wanted(alert: Alert) -> bool:
        if subject is not None and alert.subject != subject:
            return False
        height = at_their_height.setdefault(alert.alert_id, alert)
        if alert.observed_negative_stories >= height.observed_negative_stories:
            at_their_height[alert.alert_id] = alert
        return True

    def show_one(alert: Alert) -> None:
        for line in alert_lines(alert, style, at_their_height[alert.alert_id]):
            words.print(line)
        words.print(Text(""))

    def show_all(found: list[Alert]) -> list[Alert]:
        listed = sorted(found, key=lambda alert: (alert.opened_at_ms, alert.alert_id))
        listed = [alert for alert in listed if not (open_only and alert.state == "resolved")]
        for alert in listed:
            show_one(alert)
        if not listed:
            words.print("No open alert." if open_only else "No alert.")
        return listed

    newest = NewestRevisions(Alert, lambda alert: alert.alert_id, wanted)
    list_or_follow(settings, Listing(ALERTS.name, newest, show_all, show_one), since, follow, json_file)
