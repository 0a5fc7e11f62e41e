import random
import string

from streamapp.contracts.messages import CompanyMention
from streamapp.core.novelty import GENERATION_WORDS, MIN_NEW_WORDS, WARM_UP_POSTS, Vocabulary

USUAL = "shares of the company rise after its report"


def usual_vocabulary() -> Vocabulary:
    vocabulary = Vocabulary(warm_up_posts=1)
    vocabulary.read(USUAL, (), 0.25)
    return vocabulary


def test_a_text_of_words_that_nobody_used_of_late_is_novel_once() -> None:
    vocabulary = usual_vocabulary()
    assert not vocabulary.read("report of the company rise", (), 0.25)
    strange = "zeppelin harvest quarantine shares"
    assert vocabulary.read(strange, (), 0.25)
    assert not vocabulary.read(strange, (), 0.25)


def test_one_new_word_in_a_short_text_is_not_enough() -> None:
    assert MIN_NEW_WORDS > 1
    assert not usual_vocabulary().read("shares zeppelin", (), 0.25)


def test_numbers_links_and_words_with_marks_are_nothing_new() -> None:
    assert not usual_vocabulary().read("12.5% 1,000 $40 https://t.example/abc (zeppelin), q3", (), 0.25)


def test_a_company_outside_the_symbol_table_is_novel_the_first_time() -> None:
    vocabulary = usual_vocabulary()
    listed, stranger = CompanyMention(symbol="AAPL", name="Apple"), CompanyMention(symbol="QQZZ")
    assert not vocabulary.read(USUAL, (listed,), 0.25)
    assert vocabulary.read(USUAL, (listed, stranger), 0.25)
    assert not vocabulary.read(USUAL, (stranger,), 0.25)


def test_nothing_is_novel_before_the_vocabulary_is_warm() -> None:
    vocabulary = Vocabulary()
    draw = random.Random(1)
    texts = [
        " ".join("".join(draw.choices(string.ascii_lowercase, k=8)) for _ in range(6)) for _ in range(2_000)
    ]
    novel = [vocabulary.read(text, (), 0.25) for text in texts]
    assert not any(novel[:WARM_UP_POSTS])
    assert all(novel[WARM_UP_POSTS:])


def test_a_flood_of_random_words_does_not_grow_the_vocabulary_beyond_its_bound() -> None:
    vocabulary = Vocabulary()
    draw = random.Random(2)
    for _ in range(8_000):
        vocabulary.read(
            " ".join("".join(draw.choices(string.ascii_lowercase, k=10)) for _ in range(10)), (), 0.25
        )
    assert len(vocabulary._young) + len(vocabulary._old) <= 2 * GENERATION_WORDS + 40


def test_a_word_in_steady_use_outlives_the_generations() -> None:
    vocabulary = Vocabulary(warm_up_posts=0)
    draw = random.Random(3)
    vocabulary.read("inflation outlook worsens", (), 0.25)
    for _ in range(9_000):
        vocabulary.read(
            "".join(draw.choices(string.ascii_lowercase, k=10)) + " inflation outlook worsens", (), 0.9
        )
    for _ in range(GENERATION_WORDS):
        vocabulary.read(
            "".join(draw.choices(string.ascii_lowercase, k=10)) + " inflation outlook worsens", (), 0.9
        )
    assert not vocabulary.read("inflation outlook worsens", (), 0.25)


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    vocabulary = usual_vocabulary()
    assert not vocabulary.read(" ".join([USUAL] * 10) + " zeppelin harvest quarantine bicycle", (), 0.01)
