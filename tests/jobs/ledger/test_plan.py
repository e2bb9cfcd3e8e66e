from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.config import Recipe
from jobs.ledger.heads import Heads
from jobs.ledger.plan import GROUP, Plan, Rejected, Shard, find_shards, make_plan
from jobs.ledger.records import Commit
from jobs.stores.base import ObjectInfo, Store
from tests.samples import RECIPE, fill


class Listing:
    """A place of which only the listing is known, in any order."""

    def __init__(self, keys: list[str]) -> None:
        self._keys = keys

    def list(self, prefix: str = "") -> list[ObjectInfo]:
        return [ObjectInfo(key, 3, "v1") for key in self._keys]


def shards_of(keys: list[str]) -> list[Shard]:
    return list(find_shards(Listing(keys)))  # type: ignore[arg-type]


def commit_of(shard: Shard, recipe: Recipe = RECIPE) -> Commit:
    return Commit(
        shard=shard.key, number=1, work=shard.work_key(recipe.fingerprint), run_id="run", attempt=1,
        recipe=recipe.fingerprint, source=shard.objects, staged=(), members=1, pages=1, cleaned=1,
        passed_through=0, failed=0, bytes_in=1, bytes_out=1, pixels=1, damaged=None, committed_at="", host="",
    )  # fmt: skip


def test_archives_stand_alone_and_loose_files_go_by_folder(place: Store) -> None:
    names = ["a.png", "b.TAR", "deep/a.jpg", "deep/b.zip", "deep/c.txt", "deep/er/x.tar.gz", "z.tgz"]
    fill(place, {name: b"x" for name in names})
    shards = list(find_shards(place))
    assert sorted((shard.key, shard.kind, len(shard.objects)) for shard in shards) == [
        ("*", "files", 1),
        ("b.TAR", "tar", 1),
        ("deep/*", "files", 2),
        ("deep/b.zip", "zip", 1),
        ("deep/er/x.tar.gz", "tar.gz", 1),
        ("z.tgz", "tar.gz", 1),
    ]
    assert sum(shard.size for shard in shards) == len(names)


KEYS = st.lists(
    st.builds("{}{}{}".format, st.sampled_from(["", "a/", "a/b/"]), st.integers(), st.just(".png")),
    unique=True,
)


@settings(max_examples=50, deadline=None)
@given(KEYS)
def test_every_file_is_in_exactly_one_shard_of_its_folder(keys: list[str]) -> None:
    shards = shards_of(keys)
    assert sorted(info.key for shard in shards for info in shard.objects) == sorted(keys)
    assert len({shard.key for shard in shards}) == len(shards)
    assert shards == shards_of(keys[::-1])
    for shard in shards:
        assert {info.key.rpartition("/")[0] for info in shard.objects} == {shard.key.rpartition("/")[0]}
        assert list(shard.objects) == sorted(shard.objects, key=lambda info: info.key)


def test_groups_are_of_a_good_size_and_a_new_file_changes_one_of_them() -> None:
    keys = [f"box/{number:05}.png" for number in range(5000)]
    before = shards_of(keys)
    assert GROUP / 2 < len(keys) / len(before) < GROUP * 2
    for new in ("box/00000a.png", "box/02500a.png", "box/04999a.png", "box/!.png"):
        changed = set(shards_of([*keys, new])) - set(before)
        assert 1 <= len(changed) <= 2  # two where the new file begins a group


@pytest.mark.parametrize(
    "other",
    [
        Shard("a.zip", "zip", (ObjectInfo("a.zip", 4, "v1"),)),
        Shard("a.zip", "zip", (ObjectInfo("a.zip", 3, "v2"),)),
        Shard("a.zip", "zip", (ObjectInfo("b.zip", 3, "v1"),)),
        Shard("a.zip", "tar", (ObjectInfo("a.zip", 3, "v1"),)),
        Shard("b.zip", "zip", (ObjectInfo("a.zip", 3, "v1"),)),
        Shard("a.zip", "zip", (ObjectInfo("a.zip", 3, "v1"),) * 2),
        Shard("a.zip", "zip", (ObjectInfo("a.zip", 3, "v1"),), (Rejected("1.png", 0, 0, "00"),)),
    ],
)
def test_a_work_key_tells_contents_apart(other: Shard) -> None:
    shard = Shard("a.zip", "zip", (ObjectInfo("a.zip", 3, "v1"),))
    assert shard.work_key(RECIPE.fingerprint) == replace(shard).work_key(Recipe("weights").fingerprint)
    assert other.work_key(RECIPE.fingerprint) != shard.work_key(RECIPE.fingerprint)
    assert shard.work_key(Recipe("other weights").fingerprint) != shard.work_key(RECIPE.fingerprint)
    assert Shard("\udce9", "zip", shard.objects).work_key(RECIPE.fingerprint)


def planned(
    shards: list[Shard], commits: list[Commit], recipe: Recipe = RECIPE, others: tuple[Recipe, ...] = ()
) -> Plan:
    return make_plan(shards, Heads.of(commits), recipe.fingerprint, [other.fingerprint for other in others])


def test_what_is_committed_is_done_until_it_changes() -> None:
    one, two, three = shards_of(["c.tar", "a.tar", "b.tar"])
    commits = [commit_of(shard) for shard in (one, two, three)]
    assert planned([one, two, three], commits) == Plan((), 3, ())
    assert planned([one, two, three], []) == Plan((two, three, one), 0, ())
    changed = replace(one, objects=(replace(one.objects[0], version="v2"),))
    plan = planned([changed, two], commits)
    assert plan == Plan((changed,), 1, ("b.tar",), numbers={"c.tar": 1})
    assert plan.size == 3


def test_another_recipes_results_are_kept_where_they_are_as_good() -> None:
    old, new = Recipe("old weights"), Recipe("new weights")
    one, two, three = shards_of(["a.tar", "b.tar", "c.tar"])
    commits = [commit_of(one, old), commit_of(two, new), commit_of(three, old)]
    changed = replace(three, objects=(replace(three.objects[0], version="v2"),))
    redone = planned([one, two, changed], commits, new)
    assert redone == Plan((one, changed), 1, (), numbers={"a.tar": 1, "c.tar": 1})
    assert planned([one, two, changed], commits, new, (old,)) == Plan(
        (changed,), 2, (), kept=1, numbers={"c.tar": 1}
    )


def test_a_voided_commit_is_none() -> None:
    here, gone = shards_of(["a.tar", "b.tar"])
    commits = [replace(commit_of(shard), work="", number=2) for shard in (here, gone)]
    assert planned([here], commits) == Plan((here,), 0, (), numbers={"a.tar": 2})


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_plan_is_an_anti_join(data: st.DataObject) -> None:
    shards = [Shard(f"{n}.tar", "tar", (ObjectInfo(f"{n}.tar", 3, "v1"),)) for n in range(30)]
    states = data.draw(
        st.lists(st.sampled_from(["new", "done", "changed", "gone"]), min_size=30, max_size=30)
    )
    by = {state: [one for one, its in zip(shards, states, strict=True) if its == state] for state in states}
    commits = [commit_of(shard) for state in ("done", "gone") for shard in by.get(state, [])]
    commits += [replace(commit_of(shard), work="0" * 31 + "x") for shard in by.get("changed", [])]
    plan = planned(
        [one for one in shards if one not in by.get("gone", [])], data.draw(st.permutations(commits))
    )
    assert {shard.key for shard in plan.todo} == {
        one.key for one in by.get("new", []) + by.get("changed", [])
    }
    assert plan.done == len(by.get("done", []))
    assert set(plan.gone) == {one.key for one in by.get("gone", [])}
    assert plan.numbers == {one.key: 1 for one in by.get("changed", [])}
