"""The status of a destination, from its ledger: what is done, left, quarantined and in work."""

from dataclasses import dataclass

from jobs.driver.job import Job
from jobs.errors import PumiceError
from jobs.ledger.guests import guests
from jobs.ledger.heads import Heads, RecipeTotals
from jobs.ledger.lease import Holder, holder
from jobs.ledger.ledger import Ledger
from jobs.ledger.plan import Plan
from jobs.ledger.records import Claim, Quarantined
from jobs.ledger.reviews import read_reviews
from jobs.ledger.runs import RunRecord, last_runs
from jobs.stores.base import Store
from jobs.stores.open import open_store

RUNS_SHOWN = 5


@dataclass(frozen=True)
class Status:
    """The status of a destination.

    Attributes:
        done: number of shards with a result.
        recipes: the same by recipe.
        damaged: archives that are damaged and were copied unchanged.
        quarantined: shards that are not tried again.
        in_flight: attempts without an end, of the run that holds the lease or of one that was killed.
        runs: the last runs, the newest first.
        holder: the run that holds the lease; None if there is none.
        guests: runs that share its work.
        plan: what is left, and what is gone from the source of the last run; None without a run or a source.
        unknown: why there is no plan, or an empty text.
    """

    done: int
    recipes: tuple[RecipeTotals, ...]
    damaged: tuple[str, ...]
    quarantined: tuple[Quarantined, ...]
    in_flight: tuple[Claim, ...]
    runs: tuple[RunRecord, ...]
    holder: Holder | None
    guests: tuple[Holder, ...]
    plan: Plan | None
    unknown: str


def status(destination: str) -> Status:
    """The status of a destination; writes nothing.

    Raises:
        InputError: it is no store, or can't be read.
        StoreError: it broke, or was written by a newer version.
    """
    to = open_store(destination)
    ledger = Ledger(to)
    heads = ledger.heads()
    recipes = heads.recipes()
    runs = last_runs(to, RUNS_SHOWN)
    plan, unknown = _plan(runs[0], to, heads) if runs else (None, "no run was made here yet")
    return Status(
        done=sum(one.shards for one in recipes),
        recipes=recipes,
        damaged=heads.damaged(),
        quarantined=_in_force(ledger, plan),
        in_flight=ledger.in_flight(heads),
        runs=runs,
        holder=holder(to),
        guests=guests(to),
        plan=plan,
        unknown=unknown,
    )


def _plan(last: RunRecord, to: Store, heads: Heads) -> tuple[Plan | None, str]:
    """What the last run would have to do now; if its source can't be read, None and why."""
    try:
        options = last.clean_options()
        recipe = options.recipe(last.weights_sha256)
        job = Job(open_store(last.source), to, b"", recipe, options)
        return job.plan(heads, read_reviews(to)), ""
    except PumiceError as error:
        return None, str(error)


def _in_force(ledger: Ledger, plan: Plan | None) -> tuple[Quarantined, ...]:
    """The quarantined shards; if there is a plan, without those that are no longer in the source."""
    left = None if plan is None else {shard.key for shard in plan.todo}
    found = sorted(ledger.quarantined().values(), key=lambda one: one.shard)
    return tuple(one for one in found if not one.retried and (left is None or one.shard in left))
