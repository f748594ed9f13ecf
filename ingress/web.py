"""The routes that are not hot: models, health, the API description. FastAPI, in OpenAI's error shape."""

from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from headrace.ingress import admission, answer
from headrace.ingress.description import describe
from headrace.ingress.policy import AdmissionPolicy, Caller
from headrace.ingress.refusal import Refusal
from headrace.schemas.errors import Code
from headrace.schemas.names import RequestId

_BY_STATUS = {404: Code.NOT_FOUND, 405: Code.METHOD_NOT_ALLOWED}


class Refused(Exception):
    """A refusal on its way out of a route."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def web_app(
    policy: AdmissionPolicy,
    trouble: Callable[[], Refusal | None],
    new_id: Callable[[], RequestId],
    version: str,
    conditions: Callable[[], dict[str, str]] = dict,
) -> FastAPI:
    """The app. `trouble` says why nothing can be accepted now, if so; `conditions` how parts are that
    plain requests do not need.
    """
    app = FastAPI(title="Headrace", version=version, docs_url=None, redoc_url=None)
    _add_models(app, policy)
    _add_health(app, trouble, conditions)
    describe(app)

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)  # noqa: S101 - registered for it alone
        return _response(error.refusal, new_id())

    async def http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
        code = _BY_STATUS.get(error.status_code, Code.INVALID_REQUEST)
        response = _response(Refusal(code, str(error.detail)), new_id())
        response.headers.update(error.headers or {})
        return response

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(HTTPException, http_error)
    return app


def _response(refusal: Refusal, request_id: RequestId) -> Response:
    whole = answer.from_refusal(refusal, request_id)
    headers = {name.decode(): value.decode() for name, value in whole.headers}
    return Response(whole.body, whole.status, headers)


def _add_models(app: FastAPI, policy: AdmissionPolicy) -> None:
    def caller_of(request: Request) -> Caller:
        caller = admission.authenticate(
            policy, request.headers.get("authorization", "").encode("latin-1")
        )
        if isinstance(caller, Refusal):
            raise Refused(caller)
        return caller

    def entry(model: str) -> dict[str, str | int]:
        return {"id": model, "object": "model", "created": 0, "owned_by": "headrace"}

    @app.get("/v1/models")
    async def list_models(request: Request) -> dict[str, object]:
        """The models that the caller may use."""
        return {
            "object": "list",
            "data": [entry(model) for model in sorted(caller_of(request).models)],
        }

    @app.get("/v1/models/{model:path}")
    async def get_model(request: Request, model: str) -> dict[str, str | int]:
        """One model."""
        if model not in caller_of(request).models:
            raise Refused(
                Refusal(Code.MODEL_NOT_FOUND, f"The model {model[:100]!r} does not exist.", "model")
            )
        return entry(model)


def _add_health(
    app: FastAPI,
    trouble: Callable[[], Refusal | None],
    conditions: Callable[[], dict[str, str]],
) -> None:
    @app.get("/livez")
    @app.get("/health/liveliness", include_in_schema=False)
    async def live() -> dict[str, str]:
        """The process runs; says nothing about Kafka, so that an outage restarts nobody."""
        return {"status": "ok"}

    @app.get("/readyz")
    @app.get("/startupz")
    @app.get("/health/readiness", include_in_schema=False)
    async def ready(request: Request) -> JSONResponse:
        """Whether requests are accepted, and with `?verbose` why not."""
        found = trouble()
        body: dict[str, object] = {"status": "ok" if found is None else found.code.value}
        if "verbose" in request.query_params:
            kafka = "ok" if found is None else found.message
            body["checks"] = {"kafka": kafka, **conditions()}
        return JSONResponse(body, 200 if found is None else 503)
