"""Embeddings: unit vectors that are a function of model and input, as numbers or base64."""

import base64
import hashlib
import math
import sys
from array import array

import orjson

from headrace.cli.mock.calls import ModelCall


def vector(model: str, item: bytes, dimensions: int) -> "array[float]":
    """`dimensions` float32 of length 1, drawn from SHAKE-256 over model and input."""
    drawn = array("h")
    drawn.frombytes(hashlib.shake_256(model.encode() + b"\0" + item).digest(2 * dimensions))
    if sys.byteorder == "big":
        drawn.byteswap()
    length = math.sqrt(sum(value * value for value in drawn)) or 1.0
    return array("f", [value / length for value in drawn])


def embeddings_body(call: ModelCall, dimensions: int) -> bytes:
    """The answer to `call`; its own `dimensions` go before the scripted ones."""
    wanted = call.dimensions or dimensions
    items = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _encode(vector(call.model, item, wanted), call.base64),
        }
        for index, item in enumerate(call.inputs)
    ]
    usage = {"prompt_tokens": call.prompt_tokens, "total_tokens": call.prompt_tokens}
    return orjson.dumps({"object": "list", "data": items, "model": call.model, "usage": usage})


def _encode(values: "array[float]", as_base64: bool) -> str | list[float]:
    """Little-endian float32 in base64, as openai-python asks for by default."""
    if not as_base64:
        return values.tolist()
    if sys.byteorder == "big":
        values.byteswap()
    return base64.b64encode(values.tobytes()).decode()
