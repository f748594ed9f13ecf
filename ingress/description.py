"""What OpenAPI says of the routes that never reach FastAPI: the hot ones, and those of jobs."""

from typing import Any

from fastapi import FastAPI

from headrace.ingress.hot import HOT, SUBMIT
from headrace.ingress.jobs.submission import ENDPOINTS
from headrace.schemas.names import Endpoint

Piece = dict[str, Any]

_JSON = "application/json"


def describe(app: FastAPI) -> None:
    """Add them to what the app says of itself."""
    generate = app.openapi

    def described() -> dict[str, Any]:
        document = generate()
        for path, endpoint in HOT.items():
            document["paths"].setdefault(path, {"post": _call(endpoint)})
        for path, operations in _jobs().items():
            document["paths"].setdefault(path, operations)
        return document

    app.openapi = described  # type: ignore[method-assign]  # FastAPI documents this as the way


def _call(endpoint: Endpoint) -> Piece:
    return {
        "summary": f"OpenAI's {endpoint.value}; waits in a lane until an upstream takes it.",
        "operationId": endpoint.value.replace("/", "_"),
        "parameters": [
            *_wishes(),
            _header(
                "headrace-resume",
                "boolean",
                "Keep the request and its answer beyond the connection.",
            ),
            _header("idempotency-key", "string", "Repeats with the same key get the same answer."),
            _header("prefer", "string", "`respond-async`: make a job of it."),
        ],
        "requestBody": _body({"type": "object"}),
        "responses": {
            "200": {"description": "The upstream's answer, byte for byte."},
            "202": _job("The job, where the client prefers an asynchronous response."),
        },
    }


def _jobs() -> dict[str, Piece]:
    fields = {
        "endpoint": {"type": "string", "enum": list(ENDPOINTS)},
        "body": {"type": "object", "description": "The call's body; its bytes go on as they are."},
        "lane": {"type": "string"},
        "deadline_s": {"type": "number"},
        "not_before": {"type": ["integer", "string"], "description": "Epoch ms or RFC 3339."},
    }
    submission = {"type": "object", "required": ["endpoint", "body"], "properties": fields}
    one = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    wait = {"name": "wait", "in": "query", "required": False, "schema": {"type": "number"}}
    after = _header("last-event-id", "string", "Go on after this event.")
    return {
        SUBMIT: {
            "post": {
                "summary": "Submit a job: accepted when Kafka has acknowledged it.",
                "operationId": "submit_job",
                "parameters": _wishes(),
                "requestBody": _body(submission),
                "responses": {"202": _job("The job; `Location` says where it is.")},
            }
        },
        f"{SUBMIT}/{{id}}": {
            "get": {
                "summary": "A job, keyed or resumable request: its state, then its answer.",
                "operationId": "get_job",
                "parameters": [*one, wait],
                "responses": {"200": _job("The job."), "404": {"description": "No job of yours."}},
            },
            "delete": {
                "summary": "Cancel it.",
                "operationId": "cancel_job",
                "parameters": one,
                "responses": {
                    "200": _job("Cancelled, now or before."),
                    "409": {"description": "It had ended otherwise."},
                },
            },
        },
        f"{SUBMIT}/{{id}}/events": {
            "get": {
                "summary": "Its states and its answer as server-sent events, from any replica.",
                "operationId": "follow_job",
                "parameters": [*one, after],
                "responses": {
                    "200": {"description": "Events.", "content": {"text/event-stream": {}}}
                },
            }
        },
    }


def _wishes() -> list[Piece]:
    return [
        _header("headrace-lane", "string", "Priority lane."),
        _header("headrace-deadline-ms", "integer", "Absolute deadline, epoch milliseconds."),
        _header("headrace-timeout", "number", "Deadline in seconds from now."),
        _header("headrace-not-before", "string", "Not sent before: epoch ms or RFC 3339."),
        _header("headrace-delay", "number", "Not sent for so many seconds."),
        _header(
            "headrace-ambiguous",
            "string",
            "A call that a crash cut short: `retry`, `fail` or `park`.",
        ),
    ]


def _header(name: str, kind: str, about: str) -> Piece:
    schema = {"type": kind}
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": about}


def _body(schema: Piece) -> Piece:
    return {"required": True, "content": {_JSON: {"schema": schema}}}


def _job(about: str) -> Piece:
    return {"description": about, "content": {_JSON: {"schema": {"type": "object"}}}}
