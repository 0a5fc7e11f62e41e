"""Which texts go through the model together: little padding, bounded size, any order of arrival.

Pure; must not know what a token or a model is beyond lengths.
"""

from collections.abc import Sequence


def plan_batches(lengths: Sequence[int], token_budget: int, *, alone: bool = False) -> list[list[int]]:
    """Indexes of `lengths` in batches whose padded size (texts x longest) is at most `token_budget`.

    A text longer than the budget goes alone. With `alone` every text does. Texts are taken in order of
    length, which on short financial texts cuts padding from 79 % to 2-5 % of the tokens; the longest batch
    comes first, so that several takers of one plan finish together.
    """
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    if alone:
        return [[index] for index in by_length]
    batches: list[list[int]] = []
    room = 0
    for index in by_length:
        if len(batches) == 0 or len(batches[-1]) >= room:
            batches.append([])
            room = max(1, token_budget // max(1, lengths[index]))
        batches[-1].append(index)
    return batches
