"""The reader of names finds what it must; the other tests of this folder rest on it."""

from tests.deploy.promql import names_in


def test_metrics_matchers_and_grouping_are_told_apart() -> None:
    names = names_in(
        'histogram_quantile(0.95, sum by (channel, le) (rate(a_bucket{job="w", x=~"y.*"}[5m]))) '
        "/ on (instance) group_left (version) (b:c:d5m > 0)"
    )
    assert names.matched == {"a_bucket": {"job", "x"}, "b:c:d5m": set()}
    assert names.grouped == {"channel", "le", "instance", "version"}


def test_numbers_offsets_functions_strings_and_variables_are_no_metrics() -> None:
    names = names_in(
        'time() - up{a="sum(zz)"} offset 15m > 1e3 unless vector(0) and rate(m_total[$__rate_interval])'
    )
    assert names.matched == {"up": {"a"}, "m_total": set()}


def test_label_replace_makes_labels_from_labels() -> None:
    names = names_in('max by (kind) (label_replace(m, "kind", "$1", "subject", "(.*):.*"))')
    assert (names.made, names.matched) == ({"kind"}, {"m": set()})
    assert "subject" in names.grouped
