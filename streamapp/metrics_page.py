"""The catalogue of metrics as a page for people: docs/metrics.md.

`python -m streamapp.metrics_page docs/metrics.md` writes it; a test keeps it equal to metrics.py.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from streamapp.metrics import CATALOGUE

_HEAD = """# {title}

Made from `{source}` by `make schemas`; do not edit. {who} serves them at `/metrics`
(`http.host` and `http.port` of the settings). Counters also have a `_created` time, histograms `_bucket`, `_sum` and
`_count`.

| metric | type | labels | what |
|---|---|---|---|
"""


def metrics_page() -> str:
    """The page of the worker's and the bridge's metrics."""
    return page_of(CATALOGUE, title="Metrics", source="streamapp/metrics.py", who="A worker")


def page_of(catalogue: Sequence[MetricWrapperBase], *, title: str, source: str, who: str) -> str:
    """A whole page: one row a metric. `source` is the file that defines them, `who` the process that serves them."""
    return _HEAD.format(title=title, source=source, who=who) + "".join(_row(metric) for metric in catalogue)


def exposed_name(metric: MetricWrapperBase) -> str:
    """The name under which Prometheus sees the metric."""
    suffix = {"counter": "_total", "info": "_info"}.get(metric._type or "", "")
    return f"{metric._name}{suffix}"


def _row(metric: MetricWrapperBase) -> str:
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)
    return f"| `{exposed_name(metric)}` | {metric._type} | {labels} | {metric._documentation} |\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(metrics_page(), encoding="utf-8")
