"""Requests with a kind: what outlives its connection, and is answered by any replica.

How it works. A record with a `Kind` gets rows in `status` and its final in `results`; the index tells
every replica both. Three ways to treat such a request share one place, `exchange.Exchange`:

- `accept(asked)`: a job. Request and `Queued` row are both acknowledged, then 202 with `Location`.
- `hold(asked)`: resumable, or the first with its idempotency key. The same two writes, then the wait
  on the reply board as any request. A client that leaves gets `disconnect_grace_s` before the cancel;
  one that has waited `max_sync_wait_s` gets 503, `Retry-After` and `Location`, and the request goes on.
- `attach(asked)`: a repeat. `asked.record.id` is the id of a request that somebody else (perhaps
  another replica) has written: nothing is written, the answer is taken from the log when it is there,
  streams from their chunks; it carries `idempotency-replayed: true`.

`asked.record.idempotency_key` is independent of the kind: who wins the claim goes on with `accept` or
`hold` under the claimed id, who does not with `attach` (or, for a job, `accepted_before`).

`view` (job objects) and `events` (event streams) decide without I/O; `routes` serves `/v1/jobs`.
"""
