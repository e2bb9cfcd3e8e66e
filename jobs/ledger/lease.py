"""The lease: one run at a time on a destination, or several that know of each other (`jobs.ledger.guests`).

The lease saves work, and it tells a user who else works there. It does not protect data. A run that was
stopped and woken after another run took its lease (a zombie) can do no harm, because commits race by number.

Leases are numbered: `_pumice/leases/000007.json` is created only if absent, and only its owner overwrites
it, so two runs never write one object. The lease with the highest number is the one in force.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

from jobs.errors import LeaseHeld, PumiceError, StoreError
from jobs.ledger.process import boot_id, pid_start
from jobs.ledger.records import NO_OTHER_FIELDS, read_record, record_bytes
from jobs.stores.base import LEDGER, Store

LEASES = f"{LEDGER}/leases/"
TTL_S = 30.0


@dataclass(frozen=True)
class LeaseRecord:
    """The record of a lease; `nonce` makes it unique, `renewals` grows while its owner lives."""

    __pydantic_config__ = NO_OTHER_FIELDS

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


class Lease:
    """A lease that this run holds; as a context manager it is renewed on a thread and released at the end."""

    def __init__(self, store: Store, number: int, record: LeaseRecord) -> None:
        self._store, self._number, self._record = store, number, record
        self._place = lease_key(number)
        self._seen = time.monotonic()
        self._ended = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="pumice-lease", daemon=True)

    @property
    def number(self) -> int:
        """Its number; of the leases of a destination, a later one has a higher number."""
        return self._number

    @property
    def lost(self) -> bool:
        """Whether another run took over, or may have done so because no renewal succeeded for a whole ttl."""
        return self._lost.is_set()

    def renew(self) -> bool:
        """Show that this run lives.

        Returns:
            False if another run took over.

        Raises:
            StoreError, InputError: the record can't be written.
        """
        if self._overtaken():
            self._lost.set()
            return False
        self._record = replace(self._record, renewals=self._record.renewals + 1)
        self._store.put(self._place, record_bytes(self._record))
        self._seen = time.monotonic()
        return True

    def release(self) -> None:
        """Let the next run start at once; raises StoreError or InputError."""
        if not self.lost:
            self._record = replace(self._record, released=True)
            self._store.put(self._place, record_bytes(self._record))

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
                # The store may work again in a moment. Others take this run for dead only after a whole ttl.
                pause = ttl / 10
                if time.monotonic() - self._seen > ttl:
                    self._lost.set()


def acquire(store: Store, run_id: str, ttl_s: float = TTL_S) -> Lease:
    """Take the lease; waits up to the holder's ttl where only its silence can tell that it is dead.

    Does not look for guests of an earlier holder: `jobs.ledger.guests.begin` does.

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
    if not store.create(lease_key(number + 1), record_bytes(record)):
        raise held(store, lease_key(number + 1))
    # A slow run may create a number that was used and removed meanwhile: only the highest one counts.
    highest = max(_numbers(store), default=number + 1)
    if highest > number + 1:
        raise held(store, lease_key(highest))
    for old in numbers:
        with suppress(StoreError):  # litter, which the next run removes
            store.delete(lease_key(old))
    return Lease(store, number + 1, record)


@dataclass(frozen=True)
class Holder:
    """The run that holds a lease or has a guest's record, as far as one look can tell.

    Attributes:
        record: what the record says.
        alive: whether its process runs; None on another machine, where only renewals could tell.
    """

    record: LeaseRecord
    alive: bool | None


def holder(store: Store) -> Holder | None:
    """Who holds the lease, without waiting; None if it is free. Raises StoreError."""
    number = latest_number(store)
    return look(store, lease_key(number)) if number else None


def look(store: Store, key: str) -> Holder | None:
    """Whose lease or guest's record stands under this key, without waiting; None if it is free."""
    record = _read(store, key)
    if record is None or record.released:
        return None
    return Holder(record, pid_start(record.pid) == record.pid_start if _is_here(record) else None)


def _is_here(record: LeaseRecord) -> bool:
    here = boot_id()
    return bool(here) and (record.host, record.boot_id) == (socket.gethostname(), here)


def lives(store: Store, key: str, meanwhile: Callable[[], object] = bool) -> bool:
    """Whether the owner of this lease or guest's record lives.

    May wait for its whole ttl, and calls `meanwhile` after each pause. Raises StoreError.
    """
    seen = look(store, key)
    if seen is None or seen.alive is not None:
        return seen is not None and bool(seen.alive)
    first = seen.record
    # On another machine: two machines' clocks can't be compared, but ours can time how its record changes.
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
    """The error that names who holds this lease, or whose guest's record this is."""
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
    return None if data is None else read_record(LeaseRecord, data, key)


def _numbers(store: Store) -> list[int]:
    return [int(stem) for info in store.list(LEASES) if (stem := Path(info.key).stem).isdecimal()]


def lease_key(number: int) -> str:
    """The key of the lease with this number."""
    return f"{LEASES}{number:06d}.json"


def own_record(run_id: str, ttl_s: float) -> LeaseRecord:
    """A new record for a run of this process."""
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
