from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.ledger.heads import Heads, RecipeTotals
from jobs.ledger.records import Claim, Commit
from tests.jobs.ledger.test_ledger import commit_of

ONE = commit_of(Claim("a.tar", 1, "0" * 32, 1, "run"), ())


def dicts(heads: Heads) -> list[dict[str, object]]:
    return sorted(heads._table.to_pylist(), key=lambda row: row["shard"])


SOME = st.builds(
    replace,
    st.just(ONE),
    shard=st.sampled_from(["a.tar", "b/ü.tar", "caf\udce9", "*"]),
    number=st.integers(1, 9),
    work=st.sampled_from(["", "1" * 32, "2" * 32]),
    pages=st.integers(0, 2**40),
    damaged=st.sampled_from([None, "cut"]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(SOME), st.lists(SOME))
def test_the_highest_number_counts_in_whatever_order(first: list[Commit], then: list[Commit]) -> None:
    # Equal numbers are one commit, and commits never change.
    commits = list({(one.shard, one.number): one for one in first + then}.values())
    known = {(one.shard, one.number): one for one in commits}
    first, then = [[known[one.shard, one.number] for one in some] for some in (first, then)]
    expected = {shard: max(n for s, n in known if s == shard) for shard, _ in known}
    heads = Heads.of(first).updated(then)
    assert dicts(heads) == dicts(Heads.of(commits)) == dicts(Heads.of(then).updated(first))
    assert {row["shard"]: row["number"] for row in dicts(heads)} == {
        shard.encode("utf-8", "surrogateescape"): number for shard, number in expected.items()
    }
    assert len(heads) == len(expected)
    read = Heads.from_parquet(heads.to_parquet())
    assert read is not None and dicts(read) == dicts(heads)


def test_what_is_no_snapshot_is_none() -> None:
    data = Heads.of([ONE]).to_parquet()
    assert Heads.from_parquet(data[:-10]) is None
    assert Heads.from_parquet(b"") is None
    assert Heads.from_parquet(data[:100] + bytes(40) + data[140:]) is None
    other = Heads(Heads.of([ONE])._table.drop_columns(["pages"]))
    assert Heads.from_parquet(other.to_parquet()) is None


def test_totals_go_by_recipe_and_leave_voided_heads_out() -> None:
    commits = [
        replace(ONE, recipe="old", pages=5, cleaned=5, passed_through=0),
        replace(ONE, shard="b", recipe="old", pages=3, cleaned=1, passed_through=1, failed=1, damaged="cut"),
        replace(ONE, shard="c", recipe="new"),
        replace(ONE, shard="d", recipe="", work=""),
    ]
    assert Heads.of(commits).recipes() == (
        RecipeTotals("old", 2, 8, 6, 1, 1, 1, 20, 18),
        RecipeTotals("new", 1, 2, 1, 1, 0, 0, 10, 9),
    )
    assert Heads.of(commits).damaged() == ("b",)
    assert Heads.of([]).recipes() == Heads.of([]).damaged() == ()
