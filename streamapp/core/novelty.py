"""How much of a text is new: words and companies that no recent post had.

Karkali, Rousseau, Ntoulas and Vazirgiannis (Efficient Online Novelty Detection in News Streams, WISE 2013) score a
text by the mean inverse document frequency of its words in the past, and find that better than its distance to the
nearest earlier text, at a cost that does not grow with the past. Here the frequency is one bit: seen of late or not.
"""

from collections.abc import Sequence

from streamapp.contracts.messages import CompanyMention

# Of a long text only the beginning is read: its length must not decide what it costs.
READ_CHARS = 240
MIN_WORD_CHARS = 3
MAX_WORD_CHARS = 24
MIN_NEW_WORDS = 3
GENERATION_WORDS = 20_000
WARM_UP_POSTS = 1_000


class Vocabulary:
    """The words of late posts, in two generations of at most 20,000: a word lives on while posts use it.

    Says nothing until it has read 1,000 posts: at first everything is new.
    """

    def __init__(self, warm_up_posts: int = WARM_UP_POSTS) -> None:
        self._young: set[str] = set()
        self._old: set[str] = set()
        self._posts_to_read = warm_up_posts

    def read(self, text: str, companies: Sequence[CompanyMention], novel_share: float) -> bool:
        """Whether the text is novel; afterwards its words are known.

        Novel: at least `novel_share` of its words, and 3 of them, were not seen of late; or a company was not that
        the symbol table does not have. Numbers, and words that carry a punctuation mark, are not counted as new.
        """
        words = set(text[:READ_CHARS].lower().split())
        fresh = words - self._young
        unseen = self._learn(fresh) if fresh else 0
        stranger = bool(companies) and self._has_stranger(companies)
        if self._posts_to_read:
            self._posts_to_read -= 1
            return False
        return stranger or (unseen >= MIN_NEW_WORDS and unseen >= novel_share * len(words))

    def _learn(self, fresh: set[str]) -> int:
        unseen = 0
        for word in fresh:
            if word.isalpha() and MIN_WORD_CHARS <= len(word) <= MAX_WORD_CHARS:
                unseen += word not in self._old
                self._young.add(word)
        if len(self._young) >= GENERATION_WORDS:
            self._old, self._young = self._young, set()
        return unseen

    def _has_stranger(self, companies: Sequence[CompanyMention]) -> bool:
        strangers = {"$" + company.symbol for company in companies if company.name is None}
        unseen = strangers - self._young - self._old
        self._young |= strangers
        return bool(unseen)
