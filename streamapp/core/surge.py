"""When negative stories about a subject are more than its own past explains. Pure numbers in, an assessment out.

This is the replaceable seam of the detector: it sees story counts of a window and a decayed baseline, never posts,
subjects, alerts or clocks.
"""

from collections.abc import Callable
from math import exp, lgamma

from msgspec import Struct
from scipy.special import betainc, betaincc

MINUTES_PER_HOUR = 60
# Below this a first term would vanish, and with it a sum that is really near 1.
SMALLEST_LOG = -600.0


class SurgeRules(Struct, frozen=True, kw_only=True):
    """What each number means.

    - `window_minutes`: observed are the negative stories of that many closed minutes.
    - `min_negative_stories`: fewer are never a surge.
    - `false_alarm_probability`: greatest predictive probability of the observed count that opens an alert.
    - `share_probability`: greatest predictive probability of the observed share of negative stories. It keeps
      a day that is merely busier from alerting.
    - `resolve_probability`: a surge is over when the expectation frozen at its opening explains the window
      with more than that.
    - `baseline_half_life_hours`: event time after which a story of the past counts half.
    - `warm_up_minutes`: least past, outside the window, that a judgement needs.
    - `prior_minutes`, `prior_negative_stories`: Gamma prior of the rate, as if that had been seen before.
    - `prior_stories`, `prior_negative_share`: Beta prior of the share.
    - `rate_shape_limit`: news comes in bursts, so however long the past, the rate of an hour is taken to vary by
      1 / sqrt(limit) around its mean (30: 18 %), beyond counting noise and beyond what is not known of the mean.
      With it a doubled volume alone does not reach the level above, however busy the subject; a tripled one does.
    - `share_size_limit`: the same for the share, as a number of stories.
    - `winsor_ratio`: while an alert is open its minutes enter the baseline scaled down to that many expected ones.
    - `max_alert_minutes`: after that an alert resolves and its level becomes the new normal.
    """

    window_minutes: int = 60
    min_negative_stories: int = 6
    false_alarm_probability: float = 1e-5
    share_probability: float = 2e-3
    resolve_probability: float = 0.05
    baseline_half_life_hours: float = 24.0
    warm_up_minutes: int = 60
    prior_minutes: float = 30.0
    prior_negative_stories: float = 1.0
    prior_stories: float = 6.0
    prior_negative_share: float = 1 / 3
    rate_shape_limit: float = 30.0
    share_size_limit: float = 200.0
    winsor_ratio: float = 1.5
    max_alert_minutes: int = 24 * 60


class WindowCounts(Struct, frozen=True):
    """Stories of the window. A story that began earlier may turn negative in it: `negative` may exceed `stories`."""

    stories: int
    negative_stories: int


class Baseline(Struct, array_like=True):
    """A subject's past before `until_minute`, decayed by event time: stories and the minutes that were watched."""

    until_minute: int
    exposure_minutes: float = 0.0
    stories: float = 0.0
    negative_stories: float = 0.0

    def advance(self, minute: int, rules: SurgeRules) -> None:
        """Let the silent minutes up to `minute` (exclusive) pass: they count as watched, without stories."""
        passed = minute - self.until_minute
        if passed <= 0:
            return
        keep_a_minute = 0.5 ** (1 / (rules.baseline_half_life_hours * MINUTES_PER_HOUR))
        keep = keep_a_minute**passed
        self.exposure_minutes = self.exposure_minutes * keep + (1 - keep) / (1 - keep_a_minute)
        self.stories *= keep
        self.negative_stories *= keep
        self.until_minute = minute

    def include(self, minute: int, stories: float, negative_stories: float, rules: SurgeRules) -> None:
        """Let `minute` leave the window and join the past. Minutes come in order."""
        self.advance(minute + 1, rules)
        self.stories += stories
        self.negative_stories += negative_stories

    def accept_as_normal(self, window: WindowCounts, rules: SurgeRules) -> None:
        """Raise the past to the level of the window: what lasts a day is not a surge any more."""
        scale = self.exposure_minutes / rules.window_minutes
        self.negative_stories = max(self.negative_stories, window.negative_stories * scale)
        self.stories = max(self.stories, window.stories * scale)

    def expected_per_minute(self, rules: SurgeRules) -> float:
        """Negative stories a minute that this past leads to expect."""
        return (rules.prior_negative_stories + self.negative_stories) / (
            rules.prior_minutes + self.exposure_minutes
        )

    def expected_share(self, rules: SurgeRules) -> float:
        """Share of negative among all stories that this past leads to expect."""
        return past_of(self).expected_share(rules)


class ScaledPast(Struct, frozen=True, kw_only=True):
    """A past as the window's model versions would have counted it.

    `noise` is the counting (Poisson) variance of `negative_stories`, equal to it where nothing was scaled;
    `deviation` the standard deviation that comes from not knowing the scale exactly.
    """

    exposure_minutes: float
    stories: float
    negative_stories: float
    noise: float
    deviation: float = 0.0

    def expected_per_minute(self, rules: SurgeRules) -> float:
        """Negative stories a minute that this past leads to expect."""
        return (rules.prior_negative_stories + self.negative_stories) / (
            rules.prior_minutes + self.exposure_minutes
        )

    def expected_share(self, rules: SurgeRules) -> float:
        """Share of negative among all stories that this past leads to expect."""
        negative = rules.prior_stories * rules.prior_negative_share + self.negative_stories
        return negative / (rules.prior_stories + max(self.stories, self.negative_stories))

    def spread(self, rules: SurgeRules) -> float:
        """Relative standard deviation of the expected rate from the scale alone."""
        return self.deviation / (rules.prior_negative_stories + self.negative_stories)

    def known_negative_stories(self, rules: SurgeRules) -> float:
        """How many counted stories would tell as much of the rate; those seen and the prior's, if on one scale."""
        known = rules.prior_negative_stories + self.negative_stories
        if self.noise == self.negative_stories:
            return known
        return known * known / (rules.prior_negative_stories + self.noise)


def past_of(baseline: Baseline) -> ScaledPast:
    """The past as it was counted, by one version."""
    return ScaledPast(
        exposure_minutes=baseline.exposure_minutes,
        stories=baseline.stories,
        negative_stories=baseline.negative_stories,
        noise=baseline.negative_stories,
    )


class Assessment(Struct, frozen=True, kw_only=True):
    """What the past expects of the window and how likely it makes what was observed."""

    expected_negative_stories: float
    count_shape: float
    count_probability: float
    expected_share: float
    share_probability: float
    is_surge: bool


def may_surge(window: WindowCounts, rules: SurgeRules) -> bool:
    """Whether any past at all could make a surge of the window: spares the rest of the judgement."""
    return window.negative_stories >= rules.min_negative_stories or rules.share_probability >= 1.0


def assess(window: WindowCounts, baseline: Baseline | ScaledPast, rules: SurgeRules) -> Assessment:
    """Judge a window against the past, which is on the window's scale.

    Two predictive tests must both find it unlikely: the count of negative stories (Gamma-Poisson, hence negative
    binomial: Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.6) and their share of all stories
    (beta-binomial: same, section 2.4). The limits in the rules keep both honest about over-dispersion. A scale that is
    not known exactly widens both: its relative variance adds to that of the rate and, for the share, to 1 / size as
    much as gives the Beta the same variance.
    """
    past = past_of(baseline) if isinstance(baseline, Baseline) else baseline
    expected = past.expected_per_minute(rules) * rules.window_minutes
    spread = past.spread(rules) ** 2
    shape = 1 / (1 / past.known_negative_stories(rules) + 1 / rules.rate_shape_limit + spread)
    share = past.expected_share(rules)
    count_probability = share_probability = 1.0
    if window.negative_stories >= rules.min_negative_stories:
        count_probability = negative_binomial_tail(window.negative_stories, expected, shape)
        if count_probability <= rules.false_alarm_probability:
            size = 1 / (
                1 / (rules.prior_stories + past.stories)
                + 1 / rules.share_size_limit
                + spread * share / (1 - share)
            )
            total = max(window.stories, window.negative_stories)
            share_probability = beta_binomial_tail(
                window.negative_stories, total, share * size, (1 - share) * size
            )
    watched_enough = past.exposure_minutes >= rules.warm_up_minutes * 0.98
    return Assessment(
        expected_negative_stories=expected,
        count_shape=shape,
        count_probability=count_probability,
        expected_share=share,
        share_probability=share_probability,
        is_surge=watched_enough and share_probability <= rules.share_probability,
    )


def negative_binomial_tail(count: int, mean: float, shape: float) -> float:
    """P(X >= count) of a Poisson count whose rate is Gamma distributed with that mean and shape (both above 0).

    By the regularised incomplete beta function (Johnson, Kemp and Kotz, Univariate Discrete Distributions, 3rd ed.,
    section 5.6): a sum of its terms takes some 27 * mean / shape of them, which is for ever where a scale between model
    versions is hardly known.
    """
    if count <= 0:
        return 1.0
    whole = mean + shape
    # From the smaller of both shares, so that neither loses its digits to 1 minus the other.
    tail = betainc(count, shape, mean / whole) if mean < shape else betaincc(shape, count, shape / whole)
    return float(tail)


def beta_binomial_tail(successes: int, trials: int, alpha: float, beta: float) -> float:
    """P(X >= successes) in `trials` draws whose probability is Beta(alpha, beta) distributed (both above 0)."""
    if successes <= 0:
        return 1.0
    failures = trials - successes
    log_first = lgamma(trials + 1) - lgamma(successes + 1) - lgamma(failures + 1)
    log_first += _log_beta(successes + alpha, failures + beta) - _log_beta(alpha, beta)

    if successes * (alpha + beta) <= trials * alpha and log_first < SMALLEST_LOG:
        return 1.0

    def ratio(at: int) -> float:
        return (trials - at) / (at + 1) * (alpha + at) / (beta + trials - at - 1)

    return _upper_sum(exp(log_first), successes, trials, ratio)


def _log_beta(alpha: float, beta: float) -> float:
    return lgamma(alpha) + lgamma(beta) - lgamma(alpha + beta)


def _upper_sum(first: float, start: int, last: int, ratio: Callable[[int], float]) -> float:
    """Sum of probabilities from `start` on, each the one before times `ratio`; stops where the rest is nothing.

    Adding the small tail itself keeps its relative precision, which 1 minus the rest would lose.
    """
    total = term = first
    at = start
    while at < last:
        step = ratio(at)
        term *= step
        total += term
        at += 1
        if step < 1.0 and term <= total * 1e-12:
            break
    return min(1.0, total)
