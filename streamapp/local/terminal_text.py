"""Foreign text on a terminal: posts are written by strangers, and a terminal obeys control characters."""

from __future__ import annotations

from rich.text import Text

from streamapp.core.foreign_text import printable


def foreign(text: str, style: str = "", limit: int | None = None) -> Text:
    """A rich text of `text` as it is: no markup, no control characters, cut to `limit` characters."""
    safe = printable(text)
    if limit is not None and len(safe) > limit:
        safe = safe[: max(1, limit - 1)].rstrip() + "…"
    return Text(safe, style=style, no_wrap=True, overflow="ellipsis")
