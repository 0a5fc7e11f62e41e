"""Text that strangers wrote, made safe to show: a terminal or a pager must not obey it."""


def printable(text: str, keep: str = "") -> str:
    """`text` with every character that steers a terminal or turns its writing direction replaced by U+FFFD.

    Characters in `keep` (a line feed, say) stay.
    """
    return "".join(
        char if char.isprintable() or char in keep else "\N{REPLACEMENT CHARACTER}" for char in text
    )
