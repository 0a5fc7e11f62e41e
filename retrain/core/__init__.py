"""What the retrain service decides: pure functions and values, no I/O, no clock."""
