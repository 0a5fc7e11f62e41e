"""The retrain service: labels in, a better model out."""
