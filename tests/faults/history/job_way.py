"""Jobs: submitted at one ingress, asked for at the next; now and then another tenant asks too."""

import asyncio
import hashlib

import aiohttp
import msgspec

from faults.history.events import Accepted, End, Fail, Invoke, Ok, Seen, Unknown, Way
from faults.history.http_ways import OverHttp, marks_of, read_answer, request_headers
from faults.history.target import Request

JOBS = "/v1/jobs"
OPEN = ("queued", "running")
WAIT_S = 10
PEEKED = 4
"""One job in so many is asked for by another tenant as well."""


class _Response(msgspec.Struct):
    status: int
    body: msgspec.Raw


class _Error(msgspec.Struct):
    code: str = ""


class _Job(msgspec.Struct):
    id: str
    state: str
    response: _Response | None = None
    error: _Error | None = None


_job = msgspec.json.Decoder(_Job)


class NoJob(Exception):
    """An answer that is no job object."""


class JobWay(OverHttp):
    """Submits, polls until the end, and peeks."""

    async def ask(self, request: Request) -> None:
        """Submit it and wait for its end."""
        history, number = self._history, request.number
        history.write(
            Invoke(
                number=number,
                at=history.now_ms(),
                way=request.way,
                tenant=request.tenant,
                model=request.model,
                lane=request.lane,
                body=request.digest,
            )
        )
        told = Seen()
        try:
            async with asyncio.timeout(self._timeout_s):
                told = await self._submit(request)
                if told.status == 202:
                    history.write(Accepted(number=number, at=history.now_ms(), id=told.id))
                    await self._peek(request, told.id)
                    told = await self._follow(request, told.id)
        except (TimeoutError, aiohttp.ClientError, OSError, NoJob) as broken:
            why = f"{type(broken).__name__}: {broken}"
            history.write(Unknown(number=number, at=history.now_ms(), why=why, seen=told))
            return
        event = Fail if told.code else Ok
        history.write(event(number=number, at=history.now_ms(), seen=told))

    async def _submit(self, request: Request) -> Seen:
        """202 and the id, or a refusal."""
        body = b'{"endpoint":"/v1/chat/completions","body":' + request.body + b"}"
        headers = request_headers(request, self._target.tenants[request.tenant])
        async with self._session.post(
            next(self._urls) + JOBS, data=body, headers=headers
        ) as response:
            content = await response.read()
        if response.status == 202:
            return Seen(status=202, id=_read(content).id)
        return _refused(response.status, content)

    async def _follow(self, request: Request, job_id: str) -> Seen:
        while True:
            status, content = await self._get(job_id, request.tenant, WAIT_S)
            if status >= 500:  # an ingress that is away or not ready: another one knows the job too
                await asyncio.sleep(0.2)
                continue
            if status != 200:
                return _refused(status, content, job_id)
            job = _read(content)
            if job.state not in OPEN:
                return _seen(job)

    async def _peek(self, request: Request, job_id: str) -> None:
        if request.number % PEEKED:
            return
        history, number = self._history, self._history.number()
        others = [one for one in self._target.tenants if one != request.tenant]
        for other in others[:1]:
            invoke = Invoke(
                number=number, at=history.now_ms(), way=Way.PEEK, tenant=other, model="", id=job_id
            )
            history.write(invoke)
            status, _ = await self._get(job_id, other, 0)
            event = Ok if status == 200 else Fail
            seen = Seen(status=status, id=job_id, end=End.WHOLE)
            history.write(event(number=number, at=history.now_ms(), seen=seen))

    async def _get(self, job_id: str, tenant: str, wait_s: int) -> tuple[int, bytes]:
        key = self._target.tenants[tenant]
        headers = {"authorization": f"Bearer {key}"} if key else {}
        url = f"{next(self._urls)}{JOBS}/{job_id}" + (f"?wait={wait_s}" if wait_s else "")
        async with self._session.get(url, headers=headers) as response:
            return response.status, await response.read()


def _read(content: bytes) -> _Job:
    try:
        return _job.decode(content)
    except msgspec.MsgspecError as error:
        raise NoJob(str(error)) from error


def _seen(job: _Job) -> Seen:
    """The end of a job, as a client of the call itself would have seen it."""
    body = bytes(job.response.body) if job.response else b""
    failed = job.response is None or job.response.status != 200
    code = job.error.code if job.error else ""
    return Seen(
        status=job.response.status if job.response else 0,
        id=job.id,
        code=(code or "error") if failed else "",
        end=End.WHOLE,
        sha256=hashlib.sha256(body).hexdigest(),
        size=len(body),
        marks=marks_of(read_answer(body)),
    )


def _refused(status: int, content: bytes, job_id: str = "") -> Seen:
    answer = read_answer(content)
    code = (answer.error.code if answer.error else "") or "error"
    return Seen(status=status, id=job_id, code=code, end=End.WHOLE)
