from streamapp.core.batching import BatchSize


def test_a_fast_model_gets_batches_up_to_the_limit() -> None:
    size = BatchSize(256)
    sizes = []
    for _ in range(4):
        size.observe(size.posts, 0.01)
        sizes.append(size.posts)
    assert sizes == [128, 256, 256, 256]


def test_a_slow_model_gets_smaller_batches_but_never_none() -> None:
    size = BatchSize(256)
    sizes = []
    for _ in range(5):
        size.observe(size.posts, 10.0)
        sizes.append(size.posts)
    assert sizes == [32, 16, 8, 8, 8]


def test_a_batch_that_was_not_full_makes_no_batch_larger() -> None:
    size = BatchSize(256)
    size.observe(3, 0.001)
    assert size.posts == 64


def test_the_limit_of_the_settings_holds_from_the_start_and_after_a_slow_batch() -> None:
    size = BatchSize(4)
    assert size.posts == 4
    size.observe(4, 10.0)
    assert size.posts == 4
    size.observe(4, 0.01)
    assert size.posts == 4
