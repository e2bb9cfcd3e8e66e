import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields, replace

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import ArchiveDamaged, PageError
from jobs.report.schema import SCHEMA, Row, write_parquet
from jobs.shard.page_file import copied
from jobs.shard.row_spill import Rows
from jobs.text import valid_text
from model.judging.figures import Condition, Fidelity

ROW = Row("shard", "a.png", 0, 0, "cleaned", source_sha256="before", output_sha256="after", bytes_in=9)


def table_of(blocks: Iterable[Sequence[Row]]) -> pa.Table:
    sink = io.BytesIO()
    write_parquet(blocks, sink, "run-1", "recipe", "cpu", 7)
    return pq.read_table(io.BytesIO(sink.getvalue()))


def test_the_schema_is_version_1() -> None:
    assert table_of([]).schema.metadata == {b"pumice.schema_version": b"1"}
    assert SCHEMA.names == [
        "run_id", "recipe", "shard", "member", "member_index", "page_index", "source_sha256",
        "output_sha256", "status", "error_code", "error", "width", "height", "mode", "bit_depth", "dpi_x",
        "dpi_y", "bytes_in", "bytes_out", "paper_level_before", "paper_level_after",
        "unevenness_before", "unevenness_after", "noise_before", "noise_after",
        "contrast_before", "contrast_after", "sharpness_before", "sharpness_after", "ink_coverage_before",
        "ink_coverage_after", "dirt_before", "dirt_after", "ink_lost", "ink_added", "changed_fraction",
        "ssim", "needs_review", "reasons", "decode_ms", "clean_ms", "encode_ms", "device",
    ]  # fmt: skip
    assert {field.name for field in fields(Row)} - {"before", "after", "fidelity"} <= set(SCHEMA.names)


def test_what_is_not_known_is_null_and_without_reasons_nobody_needs_to_look() -> None:
    (found,) = table_of([[ROW]]).to_pylist()
    assert {name: found[name] for name in ("run_id", "recipe", "device", "status", "bytes_in")} == {
        "run_id": "run-1", "recipe": "recipe", "device": "cpu", "status": "cleaned", "bytes_in": 9,
    }  # fmt: skip
    unset = ("error", "width", "dpi_x", "noise_before", "ssim", "encode_ms")
    assert {found[name] for name in unset} == {None}
    assert found["reasons"] == [] and found["needs_review"] is False


def test_suspected_pages_need_a_look() -> None:
    row = replace(ROW, fidelity=Fidelity(0.75, 0.25, 0.125, 0.5), reasons=("ink_lost",))
    (found,) = table_of([[row]]).to_pylist()
    assert found["reasons"] == ["ink_lost"] and found["needs_review"] is True
    assert [found[field.name] for field in fields(Fidelity)] == [0.75, 0.25, 0.125, 0.5]


def test_a_page_is_measured_before_and_after() -> None:
    before, after = (Condition(*(start + n / 8 for n in range(7))) for start in (0.0, 0.125))
    (found,) = table_of([[replace(ROW, before=before, after=replace(after, sharpness=None))]]).to_pylist()
    assert [found[f"{field.name}_before"] for field in fields(Condition)] == list(astuple(before))
    assert found["noise_after"] == after.noise and found["dirt_after"] == after.dirt
    assert found["sharpness_after"] is None


def test_files_of_one_schema_read_as_one_table() -> None:
    both = pa.concat_tables([table_of([[ROW]]), table_of([]), table_of([[replace(ROW, dpi_x=1e300)]])])
    assert both.num_rows == 2


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_any_name_and_message_can_be_written(name: str, message: str) -> None:
    row = replace(ROW, shard=name, member=name, error=message)
    (found,) = table_of([[row]]).to_pylist()
    assert (found["shard"], found["member"]) == (valid_text(name),) * 2
    assert found["error"] == valid_text(message)


def rows_of(rows: Rows, count: int) -> list[Row]:
    made = [replace(ROW, member_index=number, member="x" * (number % 50)) for number in range(count)]
    for row in made:
        rows.add(row)
    return made


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 60), st.integers(0, 70), st.sampled_from([1, 7000, 10**7]))
def test_rows_come_back_in_order_changed_from_where_it_was_said(count: int, first: int, block: int) -> None:
    with Rows(block) as rows:
        made = rows_of(rows, count)
        assert list(rows) == made and len(rows) == count
        rows.change(first, lambda row: replace(row, page_index=row.page_index + 1))
        rows.change(first + 3, lambda row: replace(row, page_index=row.page_index + 1))
        more = rows_of(rows, 5)
        expected = [
            replace(row, page_index=(number >= first) + (number >= first + 3))
            for number, row in enumerate(made)
        ]
        assert list(rows) == expected + more
        assert [row for block_ in rows.blocks() for row in block_] == expected + more


def test_rows_keep_no_more_than_a_block_in_memory() -> None:
    with Rows(10_000) as rows:
        rows_of(rows, 100)
        sizes = [len(block) for block in rows.blocks()]
        assert max(sizes) <= 8 and sum(sizes) == 100
        assert table_of(rows.blocks()).num_rows == 100


def test_rows_with_long_names_fill_a_block_sooner() -> None:
    with Rows(100_000) as rows:
        for _ in range(10):
            rows.add(replace(ROW, member="x" * 60_000))
        assert [len(block) for block in rows.blocks()] == [2] * 5


def test_a_row_in_a_damaged_archive_tells_of_a_copy() -> None:
    error = ArchiveDamaged("archive_truncated", "It ends.")
    row = copied(replace(ROW, bytes_out=5), error)
    assert (row.status, row.error_code, row.output_sha256, row.bytes_out) == (
        "passed_through", "archive_truncated", "before", 9,
    )  # fmt: skip
    failed = replace(ROW, status="failed", error_code="unreadable", error=str(PageError("unreadable", "No.")))
    assert copied(failed, error).error_code == "unreadable"
    assert copied(failed, error).status == "failed"
