"""What all cells of one channel stand on: a starter that never saw it, its sides, its pool as the starter scores it.

Made once and kept in the work folder, each file whole or not at all. Must not know cells.
"""

import shutil
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from retrain.bench.labelled_sets import Sides, sides_of
from retrain.bench.plans import ChannelError, ChannelPlan
from retrain.core.label_choice import PooledPost
from retrain.core.labels import TrainingLabel
from retrain.training.starter import StarterPlan, build_starter
from retrain.whole_file import write_whole
from streamapp.contracts.bundle import Bundle, read_bundle
from streamapp.contracts.messages import Post, Verdict
from streamapp.core.companies import find_companies
from streamapp.core.story import fingerprint, format_fingerprint
from streamapp.core.verdict import TextReading, sentiment_verdict, topic_verdict
from streamapp.inference.language import LanguageDetector
from streamapp.inference.onnx_model import OnnxModel
from streamapp.settings import IntakeSettings, ModelSettings
from streamapp.starter import REFERENCE_MODEL
from streamapp.symbols import load_symbol_table

_PREPARED, _STARTER = "prepared.msgpack", "starter"


class PreparedChannel(Struct, frozen=True, kw_only=True):
    """The sides, and the pool as the starter in `starter` scored it."""

    starter: str
    sides: Sides
    pooled: tuple[PooledPost, ...]


def prepared(plan: ChannelPlan) -> PreparedChannel:
    """What was prepared in `plan.folder`, or is now: making a starter takes minutes. Raises ChannelError."""
    path = plan.folder / _PREPARED
    if path.exists():
        return msgspec.msgpack.decode(path.read_bytes(), type=PreparedChannel)
    sides = sides_of(plan.data, plan.channel, plan.old, plan.sizes)
    starter = _starter(plan)
    made = PreparedChannel(
        starter=str(starter.folder.absolute()), sides=sides, pooled=pooled_by(starter, sides.pool)
    )
    write_whole(path, msgspec.msgpack.encode(made))
    return made


def serving(bundle: Bundle) -> OnnxModel:
    """The bundle through the serving engine, one session: cells run beside each other."""
    return OnnxModel.load(bundle, ModelSettings(max_tokens=bundle.manifest.max_tokens, sessions=1))


def pooled_by(bundle: Bundle, pool: Sequence[TrainingLabel]) -> tuple[PooledPost, ...]:
    """The pool as the bundle's model scores it, through the serving engine."""
    model = serving(bundle)
    outputs = bundle.manifest.outputs
    symbols = load_symbol_table(None)
    intake = IntakeSettings()
    language = LanguageDetector(
        bundle.manifest.languages, intake.language_probability, intake.language_min_letters
    )
    found = []
    for label, said in zip(pool, model.predict([label.text for label in pool]), strict=True):
        sentiment = topic = None
        if said.sentiment is not None and outputs.sentiment is not None:
            sentiment = sentiment_verdict(said.sentiment, outputs.sentiment)
        if said.topic is not None and outputs.topic is not None:
            topic = topic_verdict(said.topic, outputs.topic)
        reading = TextReading(
            sentiment=sentiment,
            topic=topic,
            story_fingerprint=format_fingerprint(fingerprint(label.text)),
            other_language=language.is_other_language(label.text),
        )
        found.append(
            PooledPost(
                post=Post(id=label.post_id, channel=label.channel, text=label.text, event_time_ms=0),
                reading=reading,
                verdict=Verdict(
                    sentiment=sentiment, topic=topic, companies=find_companies(label.text, (), symbols)
                ),
                model_version=model.version,
            )
        )
    return tuple(found)


def _starter(plan: ChannelPlan) -> Bundle:
    if plan.starter is not None:
        return _unseen(read_bundle(plan.starter), plan.channel)
    shipped = read_bundle(REFERENCE_MODEL)
    if not _has_seen(shipped, plan.channel):
        return shipped
    folder = plan.folder / _STARTER
    if not (folder / "manifest.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        work = plan.folder / "starter-work"
        work.mkdir(parents=True, exist_ok=True)
        build_starter(plan.data, folder, work, StarterPlan(version="0", leave_out=(plan.channel,), threads=1))
        shutil.rmtree(work)
    return _unseen(read_bundle(folder), plan.channel)


def _unseen(bundle: Bundle, channel: str) -> Bundle:
    if _has_seen(bundle, channel):
        raise ChannelError(
            f"bundle {bundle.folder}: was trained on {channel}, so that is no new channel to it"
        )
    return bundle


def _has_seen(bundle: Bundle, channel: str) -> bool:
    return channel in {source.name for source in bundle.manifest.sources}
