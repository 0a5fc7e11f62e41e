"""Single keys from a terminal, as they are pressed, without echo; the terminal is as before when it ends.

Keys pressed while the program works are kept and come in order; those pressed before it began are thrown away.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Final

import click

READ_BYTES: Final = 64
END: Final = "\x04"  # Ctrl-D
# Arrows, function keys and whatever else begins with an escape are no keys of ours.
_SEQUENCE: Final = re.compile("\x1b(\\[[0-9;?]*[ -/]*[@-~]|O.|.)?", re.DOTALL)

try:
    import termios
    import tty
except ImportError:  # no POSIX
    _POSIX = False
else:
    _POSIX = True


@contextlib.contextmanager
def terminal_keys() -> Iterator[Iterator[str]]:
    """The keys of standard input, which must be a terminal; they end at Ctrl-D or when it closes.

    Ctrl-C stays a signal.
    """
    if not _POSIX:
        yield _keys_elsewhere()
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor, termios.TCSAFLUSH)
    try:
        yield _keys(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _keys(descriptor: int) -> Iterator[str]:
    while typed := os.read(descriptor, READ_BYTES):
        for key in _SEQUENCE.sub("", typed.decode("utf-8", "replace")):
            if key == END:
                return
            yield key


def _keys_elsewhere() -> Iterator[str]:
    while True:
        try:
            yield from _SEQUENCE.sub("", click.getchar())
        except EOFError:
            return
