import threading
from concurrent.futures import CancelledError

import pytest
from PIL import Image

from jobs.codecs.codec import inspect
from jobs.errors import PageError
from jobs.shard.meter import Progress
from jobs.shard.pipeline import Bench, CleanedPage, Grouping, Ticket
from jobs.shard.window import ITEM, Window
from tests.samples import Inverter, Trusting, all_cleaned, encoded, frames, pixels, png


class Blocked(Inverter):
    """Cleans once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.let = threading.Event(), threading.Event()

    def clean(self, pages):  # type: ignore[no-untyped-def]
        self.begun.set()
        assert self.let.wait(10)
        return super().clean(pages)


def add(grouping: Grouping, data: bytes) -> Ticket:
    return grouping.add(data, inspect(data, "PNG"), 0)


def outcome(grouping: Grouping, ticket: Ticket) -> CleanedPage | PageError:
    try:
        return grouping.result(ticket)
    except PageError as error:
        return error


BROKEN = png(7)[:-20]


def test_pages_of_one_size_are_cleaned_together_as_far_as_the_pixels_go() -> None:
    cleaner = Inverter()
    sources = [png(seed) for seed in range(5)] + [png(5, 20, 20)] + [png(seed) for seed in (6, 7)]
    with Bench(cleaner, Trusting(), 2, batch_pixels=2 * 12 * 8) as bench:
        grouping = bench.grouping()
        tickets = [add(grouping, data) for data in sources]
        results = [grouping.result(ticket).data for ticket in tickets]
    assert [count for _, count in cleaner.batches] == [2, 2, 1, 1, 2]
    assert all_cleaned(sources, results)
    assert len(cleaner.threads) == 1
    now = bench.meter.now
    assert now.done == Progress(pixels=7 * 12 * 8 + 20 * 20, busy_s=now.busy_s, starved_s=now.starved_s)
    assert now == now.done and now.busy_s > 0 and now.starved_s > 0, "nothing is left in work"


def test_waiting_for_a_page_sends_its_group_and_no_other() -> None:
    cleaner = Inverter()
    with Bench(cleaner, Trusting(), 2, batch_pixels=10**6) as bench:
        grouping = bench.grouping()
        first = add(grouping, png(1))
        grouping.result(first)
        large = add(grouping, png(2, 30, 30))
        rest = [add(grouping, png(seed)) for seed in (3, 4)]
        grouping.result(large)
        last = add(grouping, png(5))
        [grouping.result(ticket) for ticket in (*rest, last)]
    assert [count for _, count in cleaner.batches] == [1, 1, 3]


def test_a_page_that_cant_be_decoded_leaves_its_group_as_it_is() -> None:
    with Bench(Inverter(), Trusting(), 2, batch_pixels=10**6) as bench:
        grouping = bench.grouping()
        tickets = [add(grouping, data) for data in (png(1), BROKEN, png(2))]
        found = [outcome(grouping, ticket) for ticket in tickets]
    assert [type(one) for one in found] == [CleanedPage, PageError, CleanedPage]


def test_a_colour_scan_without_colour_shares_a_group_but_not_a_batch() -> None:
    grey = Image.fromarray(pixels(3)).convert("RGB")
    sources = [png(1, channels=3), encoded(grey), png(2, channels=3)]
    cleaner = Inverter()
    with Bench(cleaner, Trusting(), 2, batch_pixels=10**6) as bench:
        grouping = bench.grouping()
        tickets = [add(grouping, data) for data in sources]
        results = [grouping.result(ticket).data for ticket in tickets]
    assert [shape for shape, _ in cleaner.batches] == [(8, 12, 3), (8, 12), (8, 12, 3)]
    assert all_cleaned(sources, results)


def test_a_broken_network_reaches_everyone_who_waits() -> None:
    with Bench(Inverter(fail_at=0), Trusting(), 2, batch_pixels=10**6) as bench:
        grouping = bench.grouping()
        tickets = [add(grouping, png(seed)) for seed in (1, 2)]
        for ticket in tickets:
            with pytest.raises(RuntimeError, match="broke"):
                grouping.result(ticket)
        assert frames(grouping.result(add(grouping, png(3))).data)  # and the bench lives on


def test_a_network_that_forgets_a_page_is_an_error_not_a_wait_for_ever() -> None:
    class Forgetful(Inverter):
        def clean(self, pages):  # type: ignore[no-untyped-def]
            return super().clean(pages)[1:]

    with Bench(Forgetful(), Trusting(), 2) as bench:
        grouping = bench.grouping()
        with pytest.raises(ValueError, match="shorter"):
            grouping.result(add(grouping, png(1)))


@pytest.mark.parametrize("step", ["decode", "encode"])
def test_a_mistake_in_a_codec_reaches_the_one_who_waits(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: object) -> None:
        raise KeyError(step)

    monkeypatch.setattr(f"jobs.shard.pipeline.{step}", mistaken)
    with Bench(Inverter(), Trusting(), 1) as bench:
        grouping = bench.grouping()
        with pytest.raises(KeyError, match=step):
            grouping.result(add(grouping, png(1)))


def test_the_end_of_the_bench_ends_every_wait() -> None:
    cleaner = Blocked()
    errors: list[BaseException] = []

    def work(grouping: Grouping, ticket: Ticket) -> None:
        try:
            grouping.result(ticket)
        except CancelledError as error:
            errors.append(error)

    with Bench(cleaner, Trusting(), 1) as bench:
        grouping = bench.grouping()
        add(grouping, png(1))
        waiting = add(grouping, png(2))
        assert cleaner.begun.wait(10)
        thread = threading.Thread(target=work, args=(grouping, waiting))
        thread.start()
        threading.Timer(0.1, cleaner.let.set).start()
    thread.join(10)
    assert not thread.is_alive() and len(errors) == 1


def test_the_device_is_spared_what_nobody_waits_for() -> None:
    cleaner = Blocked()
    with Bench(cleaner, Trusting(), 1) as bench:
        given_up, other = bench.grouping(), bench.grouping()
        for seed in range(4):
            add(given_up, png(seed))
        ticket = add(other, png(5))
        assert cleaner.begun.wait(10)
        given_up.stop()
        cleaner.let.set()
        other.result(ticket)
    assert len(cleaner.batches) == 2


def test_the_window_finishes_in_order_and_only_as_much_as_it_must() -> None:
    done: list[int] = []
    window = Window(3 * ITEM + 300)
    for number in range(3):
        window.make_room(100)
        window.add(lambda number=number: done.append(number), 100)  # type: ignore[misc]
    assert done == []
    window.make_room(50)
    assert done == [0]
    window.hold(ITEM + 100)
    window.make_room(0)
    assert done == [0]
    window.make_room(1)
    assert done == [0, 1]
    window.hold(-ITEM - 100)
    window.make_room(10 * ITEM)
    assert done == [0, 1, 2]
    window.make_room(10**12)  # larger than the window: goes alone
    window.add(lambda: done.append(3), 10**12)
    window.drain()
    assert done == [0, 1, 2, 3]
