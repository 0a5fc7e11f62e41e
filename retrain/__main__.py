"""`python -m retrain` is the `retrain` command."""

from retrain.cli.main import main

if __name__ == "__main__":
    main()
