"""What Prometheus may be asked for: the catalogue's names as exposed, recorded rules, and Prometheus' own."""

from retrain import metrics as retrain_metrics
from streamapp import metrics
from streamapp.metrics_page import exposed_name
from tests.deploy.files import rules
from tests.deploy.promql import names_in

CATALOGUE = (*metrics.CATALOGUE, *retrain_metrics.CATALOGUE)
TARGET_LABELS = frozenset({"instance", "job"})
# Labels of an Info metric are given where it is set.
INFO_LABELS = {"streamapp_model": {"version", "provider", "provider_reason"}}
OF_PROMETHEUS = {"up": set[str](), "ALERTS": {"alertname", "alertstate", "severity", "audience"}}
NOT_FOUND_IN = "is in no catalogue"


def exposed() -> dict[str, set[str]]:
    """Every name on the metrics page with its labels."""
    found: dict[str, set[str]] = {}
    for metric in CATALOGUE:
        labels = set(metric._labelnames) | INFO_LABELS.get(metric._name, set())
        name = exposed_name(metric)
        if metric._type == "histogram":
            found |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
        else:
            found[name] = labels
    return found


def recorded() -> dict[str, set[str]]:
    """Recorded names with the labels that they are summed by, from one recorded rule to the next."""
    found: dict[str, set[str]] = {}
    for rule in rules():
        if rule.recorded:
            names = names_in(rule.expression)
            inherited = (found.get(metric, set()) for metric in names.matched)
            found[rule.recorded] = (names.grouped - {"le"}).union(*inherited)
    return found


def known() -> dict[str, set[str]]:
    return {**exposed(), **recorded(), **OF_PROMETHEUS}


def faults(expression: str) -> list[str]:
    """Metrics that do not exist and labels that theirs do not have."""
    catalogue = known()
    names = names_in(expression)
    found = []
    available = set(TARGET_LABELS) | names.made
    for metric, labels in names.matched.items():
        if metric not in catalogue:
            found.append(f"{metric} {NOT_FOUND_IN}")
            continue
        available |= catalogue[metric]
        found += [f"{metric} has no label {x}" for x in sorted(labels - catalogue[metric] - TARGET_LABELS)]
    if not found:
        found += [f"nothing here has the label {x}" for x in sorted(names.grouped - available)]
    return found
