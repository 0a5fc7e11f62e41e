"""Foreign text cannot steer what shows it."""

from streamapp.core.foreign_text import printable


def test_control_characters_and_direction_marks_are_replaced_and_letters_stay() -> None:
    assert printable("Zürich \x1b[2J\u202e50 €") == "Zürich \ufffd[2J\ufffd50 €"


def test_kept_characters_stay() -> None:
    assert printable("a\nb\tc", keep="\n") == "a\nb\ufffdc"
