"""The file: SQLite with a row for each request and claim, and how far the log was read, in one
transaction. Blocking; `write` is for a thread of its own, `read` and its kin for the event loop's.

How it works. WAL lets the loop read while the thread writes, each with a connection of its own. The
upserts say in SQL what `Pieces.after` and `known.first` say in Python, so nothing is read before it is
written. Many rows go into one statement: Python's lock is given up once a statement, and on a busy
process each time it is asked back costs up to the interpreter's switch interval (`telemetry.garbage`).
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from headrace.ingress.index.known import KnownClaim, first
from headrace.ingress.index.row import Pieces
from headrace.schemas.names import RequestId, Tenant
from headrace.schemas.status import Queued, Running, Status, Terminal
from headrace.schemas.topics import CLAIMS_MS

FORMAT = 1
"""Of the tables below; a file of another format is made anew."""
READ_CACHE_KIB = 8 * 1024
WRITE_CACHE_KIB = 32 * 1024
CHECKPOINT_PAGES = 8 * 1024
"""32 MiB of log before it is put into the file."""
EXPIRED_AT_ONCE = 1_000
"""Rows that one write looks at for expiry."""
_ROWS = (256, 16, 1)
"""Rows of a statement: few different texts, so that SQLite has them prepared."""

Place = tuple[str, int]
"""Topic and partition."""
Read = tuple[int, int]
"""The next offset to read, and the append time of the record before it."""

_TABLES = """
CREATE TABLE status(
    key BLOB NOT NULL UNIQUE, queued BLOB, running BLOB, terminal BLOB,
    attempt INTEGER NOT NULL, due_ms INTEGER, at_ms INTEGER NOT NULL);
CREATE INDEX status_due ON status(due_ms) WHERE due_ms IS NOT NULL;
CREATE TABLE claims(key BLOB NOT NULL UNIQUE, claim BLOB NOT NULL, at_ms INTEGER NOT NULL);
CREATE TABLE places(
    topic TEXT, partition INTEGER, next INTEGER NOT NULL, at_ms INTEGER NOT NULL,
    PRIMARY KEY (topic, partition));
"""
_PUT_STATUS = """
INSERT INTO status(key, queued, running, terminal, attempt, due_ms, at_ms) VALUES {rows}
ON CONFLICT(key) DO UPDATE SET
    queued = coalesce(status.queued, excluded.queued),
    running = CASE WHEN excluded.running IS NOT NULL AND excluded.attempt >= status.attempt
        THEN excluded.running ELSE status.running END,
    terminal = coalesce(status.terminal, excluded.terminal),
    attempt = max(status.attempt, excluded.attempt),
    due_ms = CASE WHEN coalesce(status.terminal, excluded.terminal) IS NULL
        THEN coalesce(status.due_ms, excluded.due_ms) END,
    at_ms = max(status.at_ms, excluded.at_ms)
"""
_PUT_CLAIMS = f"""
INSERT INTO claims(key, claim, at_ms) VALUES {{rows}}
ON CONFLICT(key) DO UPDATE SET claim = excluded.claim, at_ms = excluded.at_ms
    WHERE excluded.at_ms > claims.at_ms + {CLAIMS_MS}
"""  # noqa: S608 - a number of ours
_PUT_PLACES = "INSERT OR REPLACE INTO places(topic, partition, next, at_ms) VALUES {rows}"
_EXPIRE = """
DELETE FROM {table} WHERE at_ms < ? AND rowid IN (SELECT rowid FROM {table} ORDER BY rowid LIMIT ?)
"""
_STATUS = "SELECT key, queued, running, terminal, at_ms FROM status"

Value = bytes | int | str | None
Part = TypeVar("Part", bound=Queued | Running | Terminal)


class Batch(msgspec.Struct):
    """What one transaction writes."""

    status: dict[bytes, Pieces] = {}
    claims: dict[bytes, KnownClaim] = {}
    places: dict[Place, Read] = {}

    def __len__(self) -> int:
        return len(self.status) + len(self.claims)


def together(older: Batch, newer: Batch) -> Batch:
    """One batch of two, the older of which could not be written."""
    status = dict(older.status)
    for key, pieces in newer.status.items():
        status[key] = pieces.after(status[key]) if key in status else pieces
    claims = dict(older.claims)
    for key, claim in newer.claims.items():
        claims[key] = first(claims.get(key), claim)
    return Batch(status, claims, older.places | newer.places)


class Store:
    """An open file. All methods raise `sqlite3.Error`."""

    def __init__(self, path: Path, status_ms: int) -> None:
        self._path = path
        self._status_ms = status_ms
        self._writing = self._open()
        self._reading = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._reading.execute(f"PRAGMA cache_size = -{READ_CACHE_KIB}")

    def _open(self) -> sqlite3.Connection:
        try:
            return _prepared(self._path)
        except sqlite3.DatabaseError as error:
            if not is_broken(error):
                raise
        remove(self._path)
        return _prepared(self._path)

    def close(self) -> None:
        """Close both connections."""
        self._reading.close()
        self._writing.close()

    def places(self) -> dict[Place, Read]:
        """How far each partition was read."""
        rows = self._reading.execute("SELECT topic, partition, next, at_ms FROM places")
        return {(topic, partition): (after, at_ms) for topic, partition, after, at_ms in rows}

    def write(self, batch: Batch, now_ms: int) -> None:
        """Write all of `batch`, and drop what is older at `now_ms` than the topics keep."""
        writing = self._writing
        writing.execute("BEGIN IMMEDIATE")
        try:
            _put(writing, _PUT_STATUS, 7, map(_status_values, batch.status.items()))
            _put(writing, _PUT_CLAIMS, 3, map(_claim_values, batch.claims.items()))
            _put(writing, _PUT_PLACES, 4, ((*at, *read) for at, read in batch.places.items()))
            for table, kept_ms in (("status", self._status_ms), ("claims", CLAIMS_MS)):
                values = (now_ms - kept_ms, EXPIRED_AT_ONCE)
                writing.execute(_EXPIRE.format(table=table), values)
            writing.execute("COMMIT")
        except BaseException:
            writing.execute("ROLLBACK")
            raise

    def read(self, key: bytes) -> Pieces | None:
        """What is known of a request."""
        row = self._reading.execute(_STATUS + " WHERE key = ?", (key,)).fetchone()
        return None if row is None else _pieces(*row)

    def due(self, before_ms: int, limit: int) -> list[tuple[bytes, Pieces]]:
        """Requests that have not ended and whose deadline lies before, the oldest first."""
        found = self._reading.execute(
            _STATUS + " WHERE due_ms < ? ORDER BY due_ms LIMIT ?", (before_ms, limit)
        )
        return [(row[0], _pieces(*row)) for row in found.fetchall()]

    def claim(self, key: bytes) -> KnownClaim | None:
        """The first claim of an idempotency key."""
        row = self._reading.execute("SELECT claim FROM claims WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        found: KnownClaim = _claim.decode(row[0])
        return found


def is_broken(error: sqlite3.Error) -> bool:
    """Whether the file itself is of no use any more, as opposed to a full disk or a lock."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, sqlite3.OperationalError | sqlite3.ProgrammingError
    )


def remove(path: Path) -> None:
    """Delete a file with what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _prepared(path: Path) -> sqlite3.Connection:
    """A connection for writing to a file that has the tables."""
    writing = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        found = _format(writing)
        writing.execute("PRAGMA journal_mode = WAL")
        writing.execute("PRAGMA synchronous = NORMAL")
        writing.execute(f"PRAGMA cache_size = -{WRITE_CACHE_KIB}")
        writing.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        if not found:
            writing.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT")
        writing.execute("SELECT count(*) FROM places").fetchone()
    except BaseException:
        writing.close()
        raise
    return writing


def _format(writing: sqlite3.Connection) -> int:
    """0: a new file."""
    found: int = writing.execute("PRAGMA user_version").fetchone()[0]
    if found not in (0, FORMAT):
        raise sqlite3.DatabaseError(f"format {found}")
    return found


def _put(
    writing: sqlite3.Connection, sql: str, width: int, rows: Iterator[Sequence[Value]]
) -> None:
    one = "(" + ",".join("?" * width) + ")"
    while chunk := list(islice(rows, _ROWS[0])):
        for size in _ROWS:
            text = sql.format(rows=",".join([one] * size))
            while len(chunk) >= size:
                writing.execute(text, _flat(chunk[:size]))
                del chunk[:size]


def _flat(rows: Iterable[Sequence[Value]]) -> list[Value]:
    return [value for row in rows for value in row]


def _status_values(item: tuple[bytes, Pieces]) -> Sequence[Value]:
    key, pieces = item
    running = pieces.running
    return (
        key,
        _pack(pieces.queued),
        _pack(running),
        _pack(pieces.terminal),
        0 if running is None else running.attempt,
        pieces.due_ms,
        pieces.at_ms,
    )


def _claim_values(item: tuple[bytes, KnownClaim]) -> Sequence[Value]:
    key, claim = item
    return key, _pack_claim(claim), claim.claimed_ms


_pack_value = msgspec.msgpack.Encoder().encode
_pack_claim = msgspec.msgpack.Encoder().encode
_claim = msgspec.msgpack.Decoder(KnownClaim)
_fields = msgspec.msgpack.Decoder(list[object])
_OWNER_FIELDS = 2
"""Tenant and id come first; the key has them already."""


def _pack(status: Status | None) -> bytes | None:
    return None if status is None else _pack_value(msgspec.structs.astuple(status)[_OWNER_FIELDS:])


def _pieces(
    key: bytes, queued: bytes | None, running: bytes | None, terminal: bytes | None, at_ms: int
) -> Pieces:
    tenant, _, request_id = key.decode().partition("/")
    owner = Tenant(tenant), RequestId(request_id)
    return Pieces(
        _unpack(Queued, owner, queued),
        _unpack(Running, owner, running),
        _unpack(Terminal, owner, terminal),
        at_ms,
    )


def _unpack(kind: type[Part], owner: tuple[Tenant, RequestId], packed: bytes | None) -> Part | None:
    if packed is None:
        return None
    tag = kind.__struct_config__.tag
    return msgspec.convert([tag, *owner, *_fields.decode(packed)], kind)
