"""The exports of Label Studio and Argilla as entries: one an annotation (Label Studio) or a user (Argilla).

Label Studio: JSON (https://labelstud.io/guide/task_format) and JSON-MIN. Argilla: `records.to_json` of version 2,
nested or flattened, and the older feedback form. Questions are known by name (sentiment, topic, companies); a choice
of a sentiment under another name counts too. What nobody answered is left out, not refused.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from streamapp.contracts.messages import SENTIMENTS
from streamapp.core.label_rows import FIELD_NAMES, VERDICT_FIELDS, LabelRow, RefusedRow, our_names

_OF_THE_POST: Final = ("post_id", "text", "channel", "source", "drawn")
_ANSWERED: Final = (None, "submitted")
_USERS: Final = ".responses.users"
_STATUS: Final = ".responses.status"
_RESPONSES: Final = ".responses"


def is_label_studio(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a list is a task of Label Studio, whole or shortened (JSON-MIN)."""
    return ("data" in entry and "annotations" in entry) or "annotation_id" in entry


def is_argilla(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is a record of Argilla."""
    return ("fields" in entry and "responses" in entry) or any(name.endswith(_RESPONSES) for name in entry)


def label_studio_rows(tasks: Iterable[Any]) -> Iterator[LabelRow | RefusedRow]:
    """One entry an annotation that was not cancelled; tasks without any are left out."""
    for number, task in enumerate(tasks, start=1):
        where = f"task {number}"
        if not isinstance(task, dict):
            yield RefusedRow(where=where, reason="not an object")
        elif "annotations" not in task:
            answers = our_names(
                {name: value for name, value in task.items() if name not in ("id", "annotator")}
            )
            yield LabelRow(where=where, values={**answers, "author": _user(task.get("annotator"))})
        else:
            yield from _annotations(task, where)


def argilla_rows(records: Iterable[Any]) -> Iterator[LabelRow | RefusedRow]:
    """One entry a user who submitted something; records without any are left out."""
    for number, record in enumerate(records, start=1):
        where = f"record {number}"
        if not isinstance(record, dict):
            yield RefusedRow(where=where, reason="not an object")
            continue
        post = _post({**record, **_table(record, "metadata"), **_table(record, "fields")})
        for user, answers in _argilla_answers(record).items():
            yield LabelRow(where=where, values={**post, "author": user or "argilla", **answers})


def _post(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry says of its post. Verdicts that were shown to people are not what they answered."""
    return {name: value for name, value in our_names(entry).items() if name in _OF_THE_POST}


def _annotations(task: Mapping[str, Any], where: str) -> Iterator[LabelRow | RefusedRow]:
    annotations = task["annotations"]
    if not isinstance(annotations, list) or not isinstance(task.get("data"), dict):
        yield RefusedRow(where=where, reason="annotations is not a list, or data not an object")
        return
    post = _post(task["data"])
    for number, annotation in enumerate(annotations, start=1):
        place = where if len(annotations) == 1 else f"{where}, annotation {number}"
        if not isinstance(annotation, dict) or not isinstance(annotation.get("result"), list):
            yield RefusedRow(where=place, reason="an annotation without a result")
        elif not annotation.get("was_cancelled") and annotation["result"]:
            made = our_names({name: annotation.get(name) for name in ("updated_at", "created_at")})
            yield LabelRow(
                where=place,
                values={
                    **post,
                    **made,
                    "author": _user(annotation.get("completed_by")),
                    **_label_studio_answers(annotation["result"]),
                },
            )


def _user(user: Any) -> str:
    """A user's own name where the export gives it; the tool's number of them is no name elsewhere."""
    if isinstance(user, dict):
        user = user.get("email") or user.get("id")
    return user if isinstance(user, str) and user else f"label-studio:{'' if user is None else user}"


def _label_studio_answers(results: list[Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for result in results:
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict):
            continue
        if isinstance(value.get("choices"), list):
            answers.update(_answer(str(result.get("from_name")), value["choices"]))
        elif isinstance(value.get("labels"), list) and _question(str(result.get("from_name"))) == "companies":
            span = [value.get("start"), value.get("end")]
            answers.setdefault("companies", []).extend(
                {"symbol": each, "span": span} for each in value["labels"]
            )
    return answers


def _argilla_answers(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Answers by user."""
    answers: dict[str, dict[str, Any]] = defaultdict(dict)
    for question, value, user, status in _argilla_responses(record):
        if status in _ANSWERED and value is not None:
            answers[user].update(_answer(question, value))
    return answers


def _argilla_responses(record: Mapping[str, Any]) -> Iterator[tuple[str, Any, str, Any]]:
    responses = record.get("responses")
    if isinstance(responses, dict):  # version 2: {"sentiment": [{"value": ..., "user_id": ...}]}
        for question, given in responses.items():
            for each in given if isinstance(given, list) else []:
                if isinstance(each, dict):
                    yield question, each.get("value"), str(each.get("user_id") or ""), each.get("status")
    elif isinstance(responses, list):  # before: [{"user_id": ..., "values": {"sentiment": {"value": ...}}}]
        for each in responses:
            for question, value in _table(each if isinstance(each, dict) else {}, "values").items():
                said = value.get("value") if isinstance(value, dict) else value
                yield question, said, str(each.get("user_id") or ""), each.get("status")
    else:
        yield from _flattened(record)


def _flattened(record: Mapping[str, Any]) -> Iterator[tuple[str, Any, str, Any]]:
    for name, given in record.items():
        if not name.endswith(_RESPONSES) or not isinstance(given, list):
            continue
        question = name.removesuffix(_RESPONSES)
        users, statuses = record.get(question + _USERS), record.get(question + _STATUS)
        for index, value in enumerate(given):
            yield question, value, str(_at(users, index) or ""), _at(statuses, index)


def _answer(question: str, value: Any) -> dict[str, Any]:
    """The answer under our name of the question; of an unknown one only where it is a sentiment."""
    named = _question(question)
    if named is not None:
        return {named: value}
    said = value[0] if isinstance(value, list) and len(value) == 1 else value
    return {"sentiment": said} if isinstance(said, str) and said.strip().lower() in SENTIMENTS else {}


def _question(name: str) -> str | None:
    ours = FIELD_NAMES.get(name.strip().lower())
    return ours if ours in VERDICT_FIELDS else None


def _table(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = entry.get(name)
    return value if isinstance(value, dict) else {}


def _at(values: Any, index: int) -> Any:
    return values[index] if isinstance(values, list) and index < len(values) else None
