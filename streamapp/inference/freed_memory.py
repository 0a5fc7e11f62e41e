"""Memory that a freed model leaves in the C library's hands, given back to the system.

glibc keeps what was freed in the arena of the thread that took it, and every model is loaded by a thread of its own:
without this a worker grows by a model's size at every other swap.
"""

import ctypes
import sys


def give_back() -> None:
    """Blocks for some milliseconds. Does nothing where the C library is not glibc."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
