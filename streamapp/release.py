"""Which release this is; the one place that says so (pyproject.toml reads it)."""

RELEASE = "0.1.0"
