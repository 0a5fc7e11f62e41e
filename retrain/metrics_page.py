"""The retrain service's metrics as a page for people: docs/retrain-metrics.md.

`python -m retrain.metrics_page docs/retrain-metrics.md` writes it; a test keeps it equal to metrics.py.
"""

import sys
from pathlib import Path

from retrain.metrics import CATALOGUE
from streamapp.metrics_page import page_of


def metrics_page() -> str:
    """The whole page."""
    return page_of(
        CATALOGUE, title="Metrics of the retrain service", source="retrain/metrics.py", who="`retrain serve`"
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(metrics_page(), encoding="utf-8")
