"""Experiments with training itself, on labelled sets that the caller brings."""
