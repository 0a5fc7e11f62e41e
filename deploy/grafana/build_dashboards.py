"""The dashboards as code: `python deploy/grafana/build_dashboards.py` writes dashboards/*.json; a test keeps them equal.

Standard library only. What a panel shows is one line of a table; how Grafana wants it is in `panel` and `board`.
"""

# ruff: noqa: E501  # a description is one string
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
DATASOURCE = {"type": "prometheus", "uid": "streamapp-prometheus"}
COLUMNS, HEIGHT = 24, 8
WORKER = 'instance=~"$instance"'


@dataclass(frozen=True)
class Panel:
    """One panel: queries as (expression, legend). `kind` is Grafana's panel type; `warn_above` turns it red."""

    title: str
    unit: str
    description: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    width: int = 8
    stacked: bool = False
    warn_above: float | None = None


def one(expression: str, legend: str = "") -> tuple[tuple[str, str], ...]:
    """A single query."""
    return ((expression, legend),)


def rate(metric: str, by: str, extra: str = "") -> str:
    """Events a second over what Grafana's step needs, summed by labels."""
    return f"sum by ({by}) (rate({metric}{{{WORKER}{extra}}}[$__rate_interval]))"


def quantile(share: float, metric: str, by: str) -> str:
    """A quantile of a histogram by labels."""
    inner = f"sum by ({by}, le) (rate({metric}_bucket{{{WORKER}}}[$__rate_interval]))"
    return f"histogram_quantile({share}, {inner})"


def gauge(metric: str, by: str, fold: str = "max") -> str:
    """A gauge folded over workers."""
    return f"{fold} by ({by}) ({metric}{{{WORKER}}})"


STREAM = (
    Panel(
        "Workers that answer",
        "none",
        "Workers that answered Prometheus' last request.",
        one('sum(up{job="streamapp-worker"})'),
        "stat",
        4,
    ),
    Panel(
        "Workers that are ready",
        "none",
        "Workers whose /readyz says 200: model loaded, state read, not rebalancing.",
        one('sum(streamapp_ready{job="streamapp-worker"})'),
        "stat",
        4,
    ),
    Panel(
        "Alerts that fire",
        "none",
        "What Prometheus reports now; names and runbooks are on its Alerts page.",
        one('count(ALERTS{alertstate="firing"}) or vector(0)'),
        "stat",
        4,
        warn_above=1,
    ),
    Panel(
        "Posts in",
        "cps",
        "Records taken in a second, all channels.",
        one(f"sum(rate(streamapp_posts_in_total{{{WORKER}}}[$__rate_interval]))"),
        "stat",
        4,
    ),
    Panel(
        "Verdict after, p95",
        "s",
        "Nineteen posts of twenty have their verdict within this time after Kafka had them.",
        one("max(channel:streamapp_publish_to_verdict_seconds:p95_5m)"),
        "stat",
        4,
        warn_above=5,
    ),
    Panel(
        "Records waiting",
        "short",
        "Records of all topics that no worker has committed yet.",
        one("sum(topic:streamapp_consumer_lag_records:sum)"),
        "stat",
        4,
        warn_above=10_000,
    ),
    Panel(
        "Records in by channel",
        "cps",
        "What the feeds bring, a second.",
        one(rate("streamapp_posts_in_total", "channel"), "{{channel}}"),
    ),
    Panel(
        "Posts scored",
        "cps",
        "Posts that got a verdict, those whose text was scored before, and those in another language.",
        (
            (rate("streamapp_posts_scored_total", "channel"), "scored {{channel}}"),
            (rate("streamapp_posts_duplicate_total", "channel"), "copies {{channel}}"),
            (rate("streamapp_posts_other_language_total", "channel"), "other language {{channel}}"),
        ),
    ),
    Panel(
        "Dead letters by reason",
        "cps",
        "Inputs that cannot be used; kept whole in the topic `dead-letters`.",
        one(rate("streamapp_dead_letters_total", "channel, reason"), "{{channel}} {{reason}}"),
        stacked=True,
    ),
    Panel(
        "Share of dead letters",
        "percentunit",
        "Of what came in over 5 minutes. Above 5 % operations are told.",
        one("channel:streamapp_dead_letters:share5m", "{{channel}}"),
        warn_above=0.05,
    ),
    Panel(
        "From Kafka to verdict",
        "s",
        "Time from the record's timestamp to the acknowledged verdict.",
        (
            (quantile(0.5, "streamapp_publish_to_verdict_seconds", "channel"), "p50 {{channel}}"),
            (quantile(0.95, "streamapp_publish_to_verdict_seconds", "channel"), "p95 {{channel}}"),
            (quantile(0.99, "streamapp_publish_to_verdict_seconds", "channel"), "p99 {{channel}}"),
        ),
    ),
    Panel(
        "Time of each stage, p95",
        "s",
        "Time of one batch in intake, inference, publishing, watching and writing of state.",
        one("stage:streamapp_stage_seconds:p95_5m", "{{stage}}"),
    ),
    Panel(
        "Records of a batch",
        "short",
        "Middle and large batches by agent: they grow with the load.",
        (
            (quantile(0.5, "streamapp_batch_posts", "agent"), "p50 {{agent}}"),
            (quantile(0.95, "streamapp_batch_posts", "agent"), "p95 {{agent}}"),
        ),
    ),
    Panel(
        "Records waiting by topic",
        "short",
        "End offset less committed offset, all partitions.",
        one("topic:streamapp_consumer_lag_records:sum", "{{topic}}"),
    ),
    Panel(
        "Since commits moved",
        "s",
        "Time since each worker last committed something of a topic, or had nothing to. Above 25 s with records waiting it is stuck.",
        one(f"time() - {gauge('streamapp_progress_seconds', 'instance, topic')}", "{{instance}} {{topic}}"),
        warn_above=25,
    ),
    Panel(
        "Records that workers have to do",
        "short",
        "Records that a worker has to do, by topic; paused inputs are left out.",
        one(gauge("streamapp_waiting_records", "instance, topic"), "{{instance}} {{topic}}"),
    ),
    Panel(
        "Records that wait their turn",
        "short",
        "Records fetched that wait for older ones of slower partitions or workers, as a backlog is read by time.",
        one(gauge("streamapp_held_records", "instance, topic"), "{{instance}} {{topic}}"),
    ),
    Panel(
        "Since the last record of each input",
        "s",
        "How old the newest record of each input is.",
        one(f"time() - {gauge('streamapp_input_last_record_seconds', 'topic')}", "{{topic}}"),
        warn_above=900,
    ),
    Panel(
        "Paused inputs",
        "bool",
        "1 while an input is paused for its dead letters.",
        one(gauge("streamapp_input_paused", "topic"), "{{topic}}"),
        warn_above=1,
    ),
    Panel(
        "Records lost unread",
        "short",
        "Records that retention deleted before they were read, since the workers started.",
        one(gauge("streamapp_offsets_lost_total", "topic", "sum"), "{{topic}}"),
        warn_above=1,
    ),
    Panel(
        "Lateness of the event loop",
        "s",
        "How late the event loop's last tick was, and how long ago it was.",
        (
            (gauge("streamapp_loop_lag_seconds", "instance"), "late {{instance}}"),
            (f"time() - ({gauge('streamapp_loop_tick_seconds', 'instance')} > 0)", "ago {{instance}}"),
        ),
        warn_above=15,
    ),
)

TRENDS = (
    Panel(
        "Open surges",
        "none",
        "Alerts open now in all workers' partitions, backfill included.",
        one(f'sum(streamapp_alerts_open{{{WORKER}, job="streamapp-worker"}})'),
        "stat",
        6,
        warn_above=1,
    ),
    Panel(
        "Subjects",
        "short",
        "Topics and companies with trend state.",
        one(f"sum(streamapp_subjects{{{WORKER}}})"),
        "stat",
        6,
    ),
    Panel(
        "Event minutes close behind now",
        "s",
        "How far event time lags behind the clock, by the slowest partition.",
        one(f"time() - min(streamapp_watermark_seconds{{{WORKER}}})"),
        "stat",
        6,
        warn_above=600,
    ),
    Panel(
        "Watermark behind newest post",
        "s",
        "How far the slowest source partition holds event time back.",
        one(f"max(streamapp_watermark_trail_seconds{{{WORKER}}})"),
        "stat",
        6,
        warn_above=300,
    ),
    Panel(
        "Surges open by subject",
        "bool",
        "Topics that surged since the workers started, and companies while they surge (50 at most a worker).",
        one("max by (subject) (streamapp_surge_open)", "{{subject}}"),
        "state-timeline",
        24,
    ),
    Panel(
        "Sentiment",
        "cps",
        "Scored posts a second by sentiment, all channels.",
        one("sum by (sentiment) (channel_sentiment:streamapp_verdicts:rate5m)", "{{sentiment}}"),
        stacked=True,
    ),
    Panel(
        "Share of negative posts",
        "percentunit",
        "Of scored posts, by channel. A surge is judged per subject and by stories; this is the weather.",
        one(
            'sum by (channel) (channel_sentiment:streamapp_verdicts:rate5m{sentiment="negative"}) / sum by (channel) (channel_sentiment:streamapp_verdicts:rate5m > 0)',
            "{{channel}}",
        ),
    ),
    Panel(
        "Negative posts by topic",
        "cps",
        "Where the negative posts are.",
        one(rate("streamapp_verdicts_total", "topic", ', sentiment="negative"'), "{{topic}}"),
        stacked=True,
    ),
    Panel(
        "Posts by topic",
        "cps",
        "Scored posts a second by topic.",
        one(rate("streamapp_verdicts_total", "topic"), "{{topic}}"),
        stacked=True,
    ),
    Panel(
        "Alert revisions",
        "cps",
        "Alerts opened, updated and resolved.",
        one(rate("streamapp_alerts_total", "state"), "{{state}}"),
    ),
    Panel(
        "Label requests",
        "cps",
        "Posts that people were asked about, by why: audit is the uniform share that models are judged on.",
        one(rate("streamapp_label_requests_total", "drawn"), "{{drawn}}"),
        stacked=True,
    ),
    Panel(
        "Self-labels",
        "cps",
        "Labels that the model gave itself, where labels.self_labels is on.",
        one(rate("streamapp_self_labels_total", "sentiment"), "{{sentiment}}"),
        stacked=True,
    ),
    Panel(
        "Surges beyond the 50 named",
        "short",
        "Open company surges that the gauge leaves out; the topic `alerts` has all.",
        one(gauge("streamapp_surges_unnamed", "instance"), "{{instance}}"),
        warn_above=1,
    ),
    Panel(
        "Age of posts by their own time",
        "s",
        "How old the newest post of the last batch was by its own time. High: the feed is late, or a replay.",
        one(gauge("streamapp_event_time_lag_seconds", "channel"), "{{channel}}"),
    ),
    Panel(
        "Late posts",
        "cps",
        "Posts that came after their minute was decided: they count in trends and never in alerts.",
        one(rate("streamapp_posts_late_total", "instance"), "{{instance}}"),
    ),
    Panel(
        "Lateness, p99",
        "s",
        "How far behind the watermark the oldest post of a second was. Beyond event_time.lateness_seconds posts are late.",
        one(quantile(0.99, "streamapp_lateness_seconds", "instance"), "{{instance}}"),
        warn_above=120,
    ),
    Panel(
        "Trend state",
        "bytes",
        "Newest record of every key in `subject-state`, by partition.",
        one(gauge("streamapp_state_bytes", "partition"), "{{partition}}"),
        stacked=True,
    ),
    Panel(
        "State records written",
        "cps",
        "Writes to `subject-state`: what a batch changed.",
        one(rate("streamapp_state_records_total", "instance"), "{{instance}}"),
    ),
    Panel(
        "Time to read trend state",
        "s",
        "How long the last reading took after a rebalance; the worker stands still meanwhile.",
        one(gauge("streamapp_state_recovery_seconds", "instance"), "{{instance}}"),
        warn_above=30,
    ),
    Panel(
        "Alerts that Alertmanager has",
        "short",
        "Surges that the bridge keeps open in Alertmanager.",
        one('max(streamapp_bridge_open_alerts{job="streamapp-bridge"})', "open"),
    ),
    Panel(
        "Bridge: taken and refused",
        "cps",
        "Alerts that Alertmanager took, requests that it did not, and records that are no alert.",
        (
            ("sum(rate(streamapp_bridge_notices_total[$__rate_interval]))", "taken"),
            ("sum(rate(streamapp_bridge_failures_total[$__rate_interval]))", "refused"),
            ("sum(rate(streamapp_bridge_unreadable_total[$__rate_interval]))", "unreadable"),
        ),
    ),
    Panel(
        "Bridge: since the last success",
        "s",
        "Time since Alertmanager last took alerts; renewals come every minute.",
        one("time() - max(streamapp_bridge_last_success_seconds > 0)", "since"),
        warn_above=120,
    ),
)

MODEL = (
    Panel(
        "Models that serve",
        "none",
        "Version, provider and why that provider, by worker.",
        one(
            f'streamapp_model_info{{{WORKER}, job="streamapp-worker"}}',
            "{{instance}}: {{version}} on {{provider}} ({{provider_reason}})",
        ),
        "table",
        24,
    ),
    Panel(
        "Model versions at once",
        "none",
        "More than one for long: workers do not agree.",
        one('count(count by (version) (streamapp_model_info{job="streamapp-worker"}))'),
        "stat",
        6,
        warn_above=2,
    ),
    Panel(
        "Workers on the CPU that should not be",
        "none",
        "CUDA was asked for and the CPU serves.",
        one('sum(streamapp_cpu_fallback{job="streamapp-worker"})'),
        "stat",
        6,
        warn_above=1,
    ),
    Panel(
        "Posts scored",
        "cps",
        "Posts that got a verdict, a second.",
        one(f"sum(rate(streamapp_posts_scored_total{{{WORKER}}}[$__rate_interval]))"),
        "stat",
        6,
    ),
    Panel(
        "Not finite",
        "short",
        "Posts for which the model gave no number, in the last hour: dead letters that are the model's fault.",
        one('sum(increase(streamapp_dead_letters_total{reason="not_finite"}[1h])) or vector(0)'),
        "stat",
        6,
        warn_above=1,
    ),
    Panel(
        "Inference of one batch",
        "s",
        "Time that a batch spends in the model, tokenising included.",
        (
            (
                f'histogram_quantile(0.5, sum by (instance, le) (rate(streamapp_stage_seconds_bucket{{{WORKER}, stage="inference"}}[$__rate_interval])))',
                "p50 {{instance}}",
            ),
            (
                f'histogram_quantile(0.95, sum by (instance, le) (rate(streamapp_stage_seconds_bucket{{{WORKER}, stage="inference"}}[$__rate_interval])))',
                "p95 {{instance}}",
            ),
        ),
    ),
    Panel(
        "Posts of a batch",
        "short",
        "Batches fill up as the load grows; at 64 (batching.max_posts) the model is the bottleneck.",
        one(quantile(0.95, "streamapp_batch_posts", "agent"), "{{agent}}"),
    ),
    Panel(
        "Share of texts known already",
        "percentunit",
        "Posts whose verdict came from the cache of texts and cost no inference.",
        one(
            f"{rate('streamapp_posts_duplicate_total', 'channel')} / {rate('streamapp_posts_scored_total', 'channel')}",
            "{{channel}}",
        ),
    ),
    Panel(
        "Announced and serving",
        "none",
        "The champion's announcement, and the one whose model serves, by worker. Apart for long: turned away.",
        (
            (f"max(streamapp_model_announced_sequence{{{WORKER}}})", "announced"),
            (f"streamapp_model_sequence{{{WORKER}}}", "{{instance}}"),
        ),
    ),
    Panel(
        "What became of announced models",
        "short",
        "Events of the last hour with their cause; `model-events` has the words.",
        one(
            f"sum by (event, cause) (increase(streamapp_model_events_total{{{WORKER}}}[1h]))",
            "{{event}} {{cause}}",
        ),
    ),
    Panel(
        "Shadow run",
        "percentunit",
        "What the last announced model did otherwise than the serving one, on the same posts.",
        (
            (f"max(streamapp_shadow_disagreement_ratio{{{WORKER}}})", "another sentiment"),
            (f"max(streamapp_shadow_label_shift_ratio{{{WORKER}}})", "moved on balance"),
        ),
    ),
    Panel(
        "Shadow run: size and pace",
        "short",
        "Posts compared, and time a post of the announced model by that of the serving one.",
        (
            (f"sum(streamapp_shadow_posts{{{WORKER}}})", "posts"),
            (f"max(streamapp_shadow_slowdown_ratio{{{WORKER}}})", "times as long"),
        ),
    ),
    Panel(
        "Standstill of a swap",
        "s",
        "How long no batch began while models were exchanged, over the last day.",
        one(
            f"histogram_quantile(0.95, sum by (le) (increase(streamapp_swap_seconds_bucket{{{WORKER}}}[1d])))",
            "p95",
        ),
    ),
    Panel(
        "Sentiment the model gives",
        "percentunit",
        "Share of each verdict. A jump at a model change is the model, not the market.",
        one(
            "sum by (sentiment) (channel_sentiment:streamapp_verdicts:rate5m) / on () group_left () sum(channel_sentiment:streamapp_verdicts:rate5m)",
            "{{sentiment}}",
        ),
        width=12,
        stacked=True,
    ),
    Panel(
        "Topics the model gives",
        "percentunit",
        "Share of each topic among scored posts.",
        one(
            f"{rate('streamapp_verdicts_total', 'topic')} / on () group_left () sum(rate(streamapp_verdicts_total{{{WORKER}}}[$__rate_interval]))",
            "{{topic}}",
        ),
        width=12,
        stacked=True,
    ),
)

LEARNING = (
    Panel(
        "Stage of the run",
        "none",
        "What the retrain service does now; nothing without a run.",
        one("streamapp_retrain_run_stage == 1", "{{stage}}"),
        "table",
        6,
    ),
    Panel(
        "Ready",
        "none",
        "1 while the retrain service reads labels and knows which model serves.",
        one("max(streamapp_retrain_ready)"),
        "stat",
        4,
    ),
    Panel(
        "Labels since the last run",
        "short",
        "Posts that people labelled since the last run whose answer stood.",
        one("max(streamapp_retrain_labels_new)"),
        "stat",
        4,
    ),
    Panel(
        "A run has been due for",
        "s",
        "Since a rule asks for a run that has not come to an answer.",
        one("time() - max(streamapp_retrain_wanted_time_seconds > 0)"),
        "stat",
        4,
        warn_above=21_600,
    ),
    Panel(
        "Last decided run",
        "s",
        "Time since the last run began whose gate's answer stood.",
        one("time() - max(streamapp_retrain_decided_time_seconds > 0)"),
        "stat",
        6,
    ),
    Panel(
        "Runs by result",
        "short",
        "Runs that ended in the last day.",
        one("sum by (result) (increase(streamapp_retrain_runs_total[1d]))", "{{result}}"),
        stacked=True,
    ),
    Panel(
        "Failed and refused in a row",
        "short",
        "Runs that failed, and candidates that the gate refused, since the last good end.",
        (
            ("max(streamapp_retrain_failures_in_a_row)", "failed"),
            ("max(streamapp_retrain_refusals_in_a_row)", "refused"),
        ),
    ),
    Panel(
        "Parts that do not answer",
        "none",
        "Broker, model store, label store, disk, MLflow: asked again until they do.",
        one("max by (part) (streamapp_retrain_part_failing)", "{{part}}"),
        warn_above=1,
    ),
    Panel(
        "Runs that MLflow does not know yet",
        "short",
        "Kept in the runs' folder until it answers; none where nothing is tracked.",
        one("max(streamapp_retrain_untracked_runs)", "runs"),
    ),
    Panel(
        "Progress of the child's step",
        "percentunit",
        "Falls back to nothing at every step.",
        one("max(streamapp_retrain_run_progress_ratio)", "progress"),
    ),
    Panel(
        "Memory of the child",
        "bytes",
        "Of the child and what it started; `run.max_memory_bytes` stops it.",
        one("max(streamapp_retrain_run_memory_bytes)", "resident"),
    ),
    Panel(
        "Time of the child",
        "s",
        "How long the child of the present or last run has run; `run.max_hours` stops it.",
        one("max(streamapp_retrain_run_seconds)", "running"),
    ),
    Panel(
        "Labels in the store",
        "short",
        "Labels that the history holds, by origin.",
        one("max by (origin) (streamapp_retrain_labels)", "{{origin}}"),
        stacked=True,
    ),
    Panel(
        "Labels taken in",
        "cps",
        "New ones, those that were known, and those that were refused.",
        (
            (
                "sum by (origin) (rate(streamapp_retrain_labels_stored_total[$__rate_interval]))",
                "new {{origin}}",
            ),
            ("sum(rate(streamapp_retrain_labels_repeated_total[$__rate_interval]))", "known"),
            (
                "sum by (reason) (rate(streamapp_retrain_labels_refused_total[$__rate_interval]))",
                "refused {{reason}}",
            ),
        ),
    ),
    Panel(
        "Label records lost",
        "short",
        "Records that Kafka deleted before they were read.",
        one("sum by (topic) (streamapp_retrain_label_offsets_lost_total)", "{{topic}}"),
        warn_above=1,
    ),
    Panel(
        "Estimated accuracy",
        "percentunit",
        "What the calibrated probabilities of the last day promise, and what it is compared with. An estimate.",
        (
            (
                "max by (channel, head) (streamapp_retrain_estimated_accuracy_ratio)",
                "{{head}} of {{channel}}",
            ),
            (
                "max by (channel, head) (streamapp_retrain_reference_accuracy_ratio)",
                "reference, {{head}} of {{channel}}",
            ),
        ),
    ),
    Panel(
        "Drift of the labels given",
        "none",
        "Population stability index against the reference; above 0.25 is a large shift.",
        one("max by (channel, head) (streamapp_retrain_label_drift_psi)", "{{head}} of {{channel}}"),
        warn_above=0.25,
    ),
    Panel(
        "Posts behind the estimate",
        "short",
        "Scored posts of the champion within the window.",
        one("max by (channel, head) (streamapp_retrain_estimate_posts)", "{{head}} of {{channel}}"),
    ),
    Panel(
        "Champion",
        "none",
        "Its sequence in the log of announcements, and whether a person pins it.",
        (
            ("max(streamapp_retrain_champion_sequence)", "sequence"),
            ("max(streamapp_retrain_champion_pinned)", "pinned"),
        ),
        width=12,
    ),
    Panel(
        "Age of the champion",
        "s",
        "Since its bundle was made; above 30 days operations are told.",
        one("time() - max(streamapp_retrain_champion_made_time_seconds > 0)", "age"),
        width=12,
        warn_above=2_592_000,
    ),
)

BOARDS = {
    "stream": ("Stream", "Is the system well? Feeds, verdicts, backlog, dead letters, workers.", STREAM),
    "trends-and-alerts": (
        "Trends and alerts",
        "What the stream says, which surges are open, event time.",
        TRENDS,
    ),
    "model": ("Model", "Which model serves, how fast, and what it says.", MODEL),
    "learning": ("Learning", "Labels, retrain runs, and how good the model seems to be.", LEARNING),
}


def panel(number: int, spec: Panel, x: int, y: int) -> dict[str, Any]:
    """Grafana's form of one panel."""
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if spec.warn_above is not None:
        steps.append({"color": "red", "value": spec.warn_above})
    custom: dict[str, Any] = {}
    if spec.kind == "timeseries":
        custom = {
            "fillOpacity": 10,
            "showPoints": "never",
            "thresholdsStyle": {"mode": "line" if len(steps) > 1 else "off"},
        }
        if spec.stacked:
            custom["stacking"] = {"mode": "normal", "group": "A"}
    return {
        "id": number,
        "type": spec.kind,
        "title": spec.title,
        "description": spec.description,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": spec.width, "h": HEIGHT if spec.kind != "stat" else HEIGHT // 2},
        "fieldConfig": {
            "defaults": {
                "unit": spec.unit,
                "custom": custom,
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": expression,
                "legendFormat": legend or "__auto",
                "instant": spec.kind == "table",
                "range": spec.kind != "table",
            }
            for index, (expression, legend) in enumerate(spec.queries)
        ],
    }


def placed(specs: tuple[Panel, ...]) -> list[dict[str, Any]]:
    """Panels from left to right, a new row where the next does not fit."""
    panels: list[dict[str, Any]] = []
    x = y = row_height = 0
    for number, spec in enumerate(specs, start=1):
        if x + spec.width > COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        panels.append(panel(number, spec, x, y))
        row_height = max(row_height, panels[-1]["gridPos"]["h"])
        x += spec.width
    return panels


def board(uid: str, title: str, description: str, specs: tuple[Panel, ...]) -> dict[str, Any]:
    """One dashboard."""
    instances = "label_values(streamapp_ready, instance)"
    return {
        "uid": f"streamapp-{uid}",
        "title": f"streamapp: {title}",
        "description": description,
        "tags": ["streamapp"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["streamapp"], "title": "streamapp", "asDropdown": False}],
        "templating": {
            "list": [
                {
                    "name": "instance",
                    "label": "Worker",
                    "type": "query",
                    "datasource": DATASOURCE,
                    "query": {"query": instances, "refId": "instances"},
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                }
            ]
        },
        "annotations": {"list": []},
        "panels": placed(specs),
    }


def documents() -> dict[str, str]:
    """File name to its text."""
    return {
        f"{uid}.json": json.dumps(board(uid, *spec), indent=1, ensure_ascii=False) + "\n"
        for uid, spec in BOARDS.items()
    }


if __name__ == "__main__":
    for name, text in documents().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
