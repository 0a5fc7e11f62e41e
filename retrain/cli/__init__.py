"""The `retrain` command, one file a command."""
