"""One run at a time on a destination, or several that know of each other (`jobs.ledger.guests`).

A lease spares work and tells the user who else is there; it does not protect data. A run that was stopped
and woken after its lease was taken over (a zombie) can do no harm, because commits race by number.

Leases are numbered: `_pumice/leases/000007.json` is created only if absent, and only its owner overwrites
it, so that no two runs ever write one object. The highest number is the lease in force.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

from jobs.errors import LeaseHeld, PumiceError, StoreError
from jobs.ledger.process import boot_id, pid_start
from jobs.stores.base import LEDGER, Store

LEASES = f"{LEDGER}/leases/"
TTL_S = 30.0


@dataclass(frozen=True)
class LeaseRecord:
    """What a lease's file says; `nonce` makes it unique, `renewals` shows that its owner lives."""

    run_id: str
    nonce: str
    host: str
    boot_id: str
    pid: int
    pid_start: str
    renewals: int
    ttl_s: float
    released: bool
    started_at: str
    pumice_version: str

    def to_json(self) -> bytes:
        """The file's bytes."""
        return json.dumps(asdict(self), indent=1).encode()

    @staticmethod
    def from_json(data: bytes, key: str) -> "LeaseRecord":
        """Read a file's bytes; raises StoreError naming `key` if they are no lease."""
        try:
            return LeaseRecord(**json.loads(data))
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"{key} is no lease that this version of Pumice can read: update Pumice."
            ) from error


class Lease:
    """A lease that is held; as a context manager it is renewed in the background and released at the end."""

    def __init__(self, store: Store, number: int, record: LeaseRecord) -> None:
        self._store, self._number, self._record = store, number, record
        self._place = lease_key(number)
        self._seen = time.monotonic()
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="pumice-lease", daemon=True)

    @property
    def number(self) -> int:
        """Of all leases of a destination, a later one has a higher number."""
        return self._number

    @property
    def lost(self) -> bool:
        """Whether another run has taken over, or may have because no renewal got through for a whole ttl."""
        return self._lost.is_set()

    def renew(self) -> bool:
        """Show that this run lives; False once another run took over. Raises StoreError or InputError."""
        if self._overtaken():
            self._lost.set()
            return False
        self._record = replace(self._record, renewals=self._record.renewals + 1)
        self._store.put(self._place, self._record.to_json())
        self._seen = time.monotonic()
        return True

    def release(self) -> None:
        """Let the next run start at once; raises StoreError or InputError."""
        if not self.lost:
            self._record = replace(self._record, released=True)
            self._store.put(self._place, self._record.to_json())

    def _overtaken(self) -> bool:
        return latest_number(self._store) > self._number

    def __enter__(self) -> "Lease":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        # The run's result stands whether or not this succeeds; the next run then finds this process dead.
        with suppress(PumiceError):
            self.release()

    def _keep(self) -> None:
        ttl = self._record.ttl_s
        pause = ttl / 3
        while not self._ended.wait(pause) and not self.lost:
            try:
                self.renew()
                pause = ttl / 3
            except PumiceError:
                # The store may be back in a moment; whether others could have seen us die is a matter of ttl.
                pause = ttl / 10
                if time.monotonic() - self._seen > ttl:
                    self._lost.set()


def acquire(store: Store, run_id: str, ttl_s: float = TTL_S) -> Lease:
    """Take the lease; waits up to the holder's ttl where only its silence can tell that it is dead.

    Guests of an earlier holder are not asked: see `jobs.ledger.guests.begin`.

    Raises:
        LeaseHeld: another run holds it, or was faster.
        StoreError: the store broke, or the lease in force can't be read.
        InputError: the store can't be written.
    """
    numbers = sorted(_numbers(store))
    number = numbers[-1] if numbers else 0
    if number and lives(store, lease_key(number)):
        raise held(store, lease_key(number))
    record = own_record(run_id, ttl_s)
    if not store.create(lease_key(number + 1), record.to_json()):
        raise held(store, lease_key(number + 1))
    # Whoever was slow may have made a number that had been used and removed: only the highest one counts.
    highest = max(_numbers(store), default=number + 1)
    if highest > number + 1:
        raise held(store, lease_key(highest))
    for old in numbers:
        with suppress(StoreError):  # litter, which the next run removes
            store.delete(lease_key(old))
    return Lease(store, number + 1, record)


@dataclass(frozen=True)
class Holder:
    """Who holds a destination's lease, as far as a look at it tells.

    Attributes:
        record: what the lease says.
        alive: whether its process runs; None on another machine, where only renewals would tell.
    """

    record: LeaseRecord
    alive: bool | None


def holder(store: Store) -> Holder | None:
    """Who holds the lease, without waiting; None if it is free. Raises StoreError."""
    number = latest_number(store)
    return look(store, lease_key(number)) if number else None


def look(store: Store, key: str) -> Holder | None:
    """Who holds the lease or the guest's record of this key, likewise."""
    record = _read(store, key)
    if record is None or record.released:
        return None
    return Holder(record, pid_start(record.pid) == record.pid_start if _is_here(record) else None)


def _is_here(record: LeaseRecord) -> bool:
    here = boot_id()
    return bool(here) and (record.host, record.boot_id) == (socket.gethostname(), here)


def lives(store: Store, key: str, meanwhile: Callable[[], object] = bool) -> bool:
    """Whether this lease's (guest's) owner lives; may watch its whole ttl, with `meanwhile` at each look."""
    seen = look(store, key)
    if seen is None or seen.alive is not None:
        return seen is not None and bool(seen.alive)
    first = seen.record
    # Elsewhere: clocks of two machines can't be compared, but its renewals can be watched on our own.
    start = time.monotonic()
    while time.monotonic() - start < first.ttl_s:
        time.sleep(first.ttl_s / 20)
        meanwhile()
        now = _read(store, key)
        if now is None or now.renewals != first.renewals:
            return True
        if now.released:
            return False
    return False


def held(store: Store, key: str) -> LeaseHeld:
    """The error that names who holds this lease, or guest's record."""
    owner = _read(store, key)
    who = f"Run {owner.run_id} on {owner.host} (process {owner.pid})" if owner else "Another run"
    return LeaseHeld(
        f"{who} is working on {store.url}: wait for it to end, stop it first, or share its work with --join."
    )


def latest_number(store: Store) -> int:
    """The number of the lease in force, or of the last one that was; 0 if there never was one."""
    return max(_numbers(store), default=0)


def _read(store: Store, key: str) -> LeaseRecord | None:
    data = store.get(key)
    return None if data is None else LeaseRecord.from_json(data, key)


def _numbers(store: Store) -> list[int]:
    return [int(stem) for info in store.list(LEASES) if (stem := Path(info.key).stem).isdecimal()]


def lease_key(number: int) -> str:
    """Where the lease of this number stands."""
    return f"{LEASES}{number:06d}.json"


def own_record(run_id: str, ttl_s: float) -> LeaseRecord:
    """The record of a run of this process."""
    return LeaseRecord(
        run_id=run_id,
        nonce=uuid.uuid4().hex,
        host=socket.gethostname(),
        boot_id=boot_id(),
        pid=os.getpid(),
        pid_start=pid_start(os.getpid()),
        renewals=0,
        ttl_s=ttl_s,
        released=False,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        pumice_version=version("pumice"),
    )
