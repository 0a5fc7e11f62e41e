"""Where the model that ships is."""

from pathlib import Path

STARTER_MODEL = Path(__file__).parent / "starter_model"
