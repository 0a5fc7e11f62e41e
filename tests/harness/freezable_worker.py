"""A worker whose score agent hangs while the file that TEST_FREEZE_FILE names exists.

The event loop runs on: it is the fault that only the progress of commits shows.
"""

import asyncio
import os
from pathlib import Path

from streamapp.agents.score import ScoredBatch, Scorer
from streamapp.cli.main import main
from streamapp.contracts.raw_record import RawRecord

FREEZE_FILE = "TEST_FREEZE_FILE"
_score = Scorer.score


async def _score_or_hang(scorer: Scorer, records: tuple[RawRecord, ...]) -> ScoredBatch:
    while FREEZE.exists():  # noqa: ASYNC110, ASYNC240  # a file, because the test is another process
        await asyncio.sleep(0.1)
    return await _score(scorer, records)


if __name__ == "__main__":
    FREEZE = Path(os.environ[FREEZE_FILE])
    Scorer.score = _score_or_hang  # type: ignore[method-assign,assignment]
    main()
