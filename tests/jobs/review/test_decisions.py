"""Files of decisions, which anybody may have written."""

import json
from pathlib import Path

import pytest

from jobs.errors import InputError
from jobs.review.decisions import Decision, DecisionFile, Sample, read_decisions

GOOD = {
    "shard": "a", "member": "1.png", "member_index": 0, "page_index": 0, "output_sha256": "x",
    "decision": "accept", "sampled": False,
}  # fmt: skip


def wrapped(**changes: object) -> str:
    return json.dumps({"pumice_decisions": 1, "destination": "d", "decisions": [{**GOOD, **changes}]})


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "pumice_decisions"),
        ('{"pumice_decisions": 2}', "pumice_decisions"),
        ('{"pumice_decisions": 1, "decisions": {}}', "no list"),
        ('{"pumice_decisions": 1, "decisions": [], "destination": 3}', "destination is no text"),
        ('{"pumice_decisions": 1, "decisions": [], "sample": {"size": -1}}', "sample's size"),
        (wrapped(decision="burn"), "neither accept nor reject"),
        (wrapped(sampled="yes"), "neither true nor false"),
        (wrapped(page_index=True), "decision 1's page_index is no whole number"),
        (wrapped(page_index=-1), "of 0 or more"),
        (wrapped(member_index=0.5), "member_index is no whole number"),
        (wrapped(shard=None), "shard is no text"),
        (wrapped(member="\ud800"), "member is no text"),
        (wrapped(note=["x"]), "note is no text"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(content: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "decisions.json"
    path.write_text(content)
    with pytest.raises(InputError, match=why):
        read_decisions(path)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    csvs = {"lacks.csv": b"shard,member\n", "bad.csv": b"\xff", "open.csv": b'a,"b'}
    for name, data in csvs.items():
        (tmp_path / name).write_bytes(data)
    for name in (*csvs, "missing.json", "."):
        with pytest.raises(InputError):
            read_decisions(tmp_path / name)
    (tmp_path / "long.json").write_text(wrapped())
    monkeypatch.setattr("jobs.review.decisions.MAX_BYTES", 20)
    with pytest.raises(InputError, match="more than 20 bytes"):
        read_decisions(tmp_path / "long.json")


def test_what_json_and_csv_say(tmp_path: Path) -> None:
    made = Decision("a", "1.png", 0, 0, "x", "accept", False, "")
    whole, plain = tmp_path / "decisions.json", tmp_path / "decisions.CSV"
    whole.write_text(
        json.dumps({**json.loads(wrapped(output_sha256=None)), "sample": {"size": 2, "population": 9}})
    )
    unread = Decision("a", "1.png", 0, 0, None, "accept", False, "")
    assert read_decisions(whole) == DecisionFile("d", Sample(2, 9), (unread,))
    plain.write_text("\ufeff" + ",".join(GOOD) + ",more\na,1.png,0,0,x,accept,,?\n", "utf-8")
    assert read_decisions(plain) == DecisionFile(None, None, (made,))
    plain.write_text(",".join(GOOD) + "\na,1.png,x,0,x,accept,1\n")
    with pytest.raises(InputError, match="member_index is no whole number"):
        read_decisions(plain)
    plain.write_text(",".join(GOOD) + "\na,1.png\n")
    with pytest.raises(InputError, match="neither accept nor reject"):
        read_decisions(plain)
