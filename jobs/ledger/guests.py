"""Runs that share a destination: the one that holds the lease, and its guests (`pumice clean --join`).

A guest writes a record of its own, `_pumice/leases/guest-<run id>.json`, with the fields of a lease. By it
other runs know that the guest's claims belong to a living run. Claims alone decide which run cleans which
shard. While a guest lives, no run begins that does not join: it would take the guest's claims for dead ones.
"""

from collections.abc import Mapping
from contextlib import suppress

from jobs.errors import LeaseHeld, PumiceError
from jobs.ledger.lease import (
    LEASES,
    TTL_S,
    Holder,
    Lease,
    LeaseRecord,
    acquire,
    held,
    holder,
    latest_number,
    lives,
    look,
    own_record,
)
from jobs.ledger.ledger import Ledger
from jobs.ledger.records import record_bytes, shard_id
from jobs.stores.base import Store

GUESTS = f"{LEASES}guest-"


class Guest(Lease):
    """The record of a run beside the one that holds the lease; it is renewed as a lease is."""

    def __init__(self, store: Store, number: int, record: LeaseRecord) -> None:
        """Write the record; `number` is that of the lease in force when the guest began."""
        super().__init__(store, number, record)
        self._place = f"{GUESTS}{record.run_id}.json"
        store.put(self._place, record_bytes(record))

    def release(self) -> None:
        """Remove the record; raises StoreError or InputError."""
        self._store.delete(self._place)

    def _overtaken(self) -> bool:
        return False  # nobody takes over from a guest


def begin(store: Store, run_id: str, *, join: bool, ttl_s: float = TTL_S) -> Lease:
    """Take the lease; with `join`, become a guest if another run holds it.

    Raises:
        LeaseHeld: another run is at work, and this one may not join it.
        StoreError, InputError: as `acquire`.
    """
    try:
        lease = acquire(store, run_id, ttl_s)
    except LeaseHeld:
        if not join:
            raise
        return Guest(store, latest_number(store), own_record(run_id, ttl_s))
    if not join:
        _expect_no_guest(store, lease)
    return lease


def _expect_no_guest(store: Store, lease: Lease) -> None:
    for key in _guests(store):
        if lives(store, key, meanwhile=lease.renew):  # or others would take this run for dead
            error = held(store, key)
            lease.release()
            raise error
        with suppress(PumiceError):  # litter, which the next run removes
            store.delete(key)


def guests(store: Store) -> tuple[Holder, ...]:
    """The guests there are, without waiting; raises StoreError."""
    found = (look(store, key) for key in _guests(store))
    return tuple(one for one in found if one is not None)


def busy(store: Store, run_id: str) -> Mapping[tuple[str, str], str]:
    """What living runs other than `run_id` work on: their run ids by shard id and work.

    A run on another machine counts as living as long as its record stands.

    Raises:
        StoreError: the store broke, or a record can't be read.
    """
    others = [one for one in (holder(store), *guests(store)) if one is not None]
    living = {one.record.run_id for one in others if one.alive is not False} - {run_id}
    if not living:
        return {}
    ledger = Ledger(store)
    claims = ledger.in_flight(ledger.heads())
    return {(shard_id(one.shard), one.work): one.run_id for one in claims if one.run_id in living}


def _guests(store: Store) -> list[str]:
    return [info.key for info in store.list(GUESTS)]
