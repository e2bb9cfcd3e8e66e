from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.config import Recipe
from jobs.plan import GROUP, Plan, Shard, find_shards, make_plan
from jobs.records import Commit
from jobs.store import ObjectInfo, Store
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
        shard=shard.key, number=1, work=shard.work_key(recipe), run_id="run", attempt=1,
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
    ],
)
def test_a_work_key_tells_contents_apart(other: Shard) -> None:
    shard = Shard("a.zip", "zip", (ObjectInfo("a.zip", 3, "v1"),))
    assert shard.work_key(RECIPE) == replace(shard).work_key(Recipe("weights"))
    assert other.work_key(RECIPE) != shard.work_key(RECIPE)
    assert shard.work_key(Recipe("other weights")) != shard.work_key(RECIPE)
    assert Shard("\udce9", "zip", shard.objects).work_key(RECIPE)


def test_what_is_committed_is_done_until_it_changes() -> None:
    one, two, three = shards_of(["c.tar", "a.tar", "b.tar"])
    commits = {shard.key: commit_of(shard) for shard in (one, two, three)}
    assert make_plan([one, two, three], commits, RECIPE) == Plan((), 3, ())
    assert make_plan([one, two, three], {}, RECIPE) == Plan((two, three, one), 0, ())
    assert make_plan([one, two, three], commits, Recipe("new")).done == 0
    changed = replace(one, objects=(replace(one.objects[0], version="v2"),))
    plan = make_plan([changed, two], commits, RECIPE)
    assert plan == Plan((changed,), 1, ("b.tar",))
    assert plan.size == 3


def test_a_voided_commit_is_none() -> None:
    here, gone = shards_of(["a.tar", "b.tar"])
    commits = {shard.key: replace(commit_of(shard), work="") for shard in (here, gone)}
    assert make_plan([here], commits, RECIPE) == Plan((here,), 0, ())
