"""Bytes to message and back: JSON on every topic, MessagePack for trend state.

Decoding raises one error, `DecodeError`, which names what is wrong and where; it never returns half a message.
"""

from typing import Any, TypeVar, overload

import msgspec

from streamapp.contracts.messages import CONTRACT_VERSION

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


class DecodeError(ValueError):
    """Bytes that are not a message of the wanted type; the text says which field and why."""


def encode(message: msgspec.Struct) -> bytes:
    """The message as UTF-8 JSON."""
    return _encoder.encode(message)


@overload
def decode(raw: bytes | None, message_type: type[T]) -> T: ...
@overload
def decode(raw: bytes | None, message_type: Any) -> Any: ...
def decode(raw: bytes | None, message_type: Any) -> Any:
    """The message of `message_type` (a struct or a union of tagged structs) in `raw`, or `DecodeError`."""
    if raw is None:
        raise DecodeError("null value where a message was expected")
    decoder = _decoders.get(message_type)
    if decoder is None:
        decoder = _decoders[message_type] = msgspec.json.Decoder(message_type)
    try:
        message = decoder.decode(raw)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise DecodeError(str(error)) from error
    version = getattr(message, "contract_version", CONTRACT_VERSION)
    if version > CONTRACT_VERSION:
        raise DecodeError(
            f"contract version {version} is newer than {CONTRACT_VERSION}, which this release reads"
        )
    return message
