"""What the app decides: pure functions and values, no I/O, no clock."""
