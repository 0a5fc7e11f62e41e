import pytest

# Assertions outside of test modules say what they compared only when asked to.
for name in ("verdict", "cluster", "progress", "run", "load", "worker_process"):
    pytest.register_assert_rewrite(f"{__name__}.{name}")
