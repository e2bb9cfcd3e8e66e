"""What only S3 does: errors as sentences, bodies that break off, answers that get lost."""

import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from jobs.errors import InputError, StoreError
from jobs.stores import s3_client
from jobs.stores.s3 import S3Store
from tests.s3_server import BUCKET, S3Server

CONTINUE = len(b"HTTP/1.1 100 Continue\r\n\r\n")


class Proxy:
    """Passes bytes on to the server, but ends a connection after so many bytes of answer, so many times."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.cut_after, self.cuts = 0, 0
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [client, server]
                self._start(self._pump, client, server, False)
                self._start(self._pump, server, client, True)

    def _pump(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                if is_answer and self.cuts and passed + len(data) > self.cut_after:
                    self.cuts -= 1
                    target.sendall(data[: self.cut_after - passed])
                    break
                target.sendall(data)
                passed += len(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for one in [self._listener, *self._sockets]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in [self._listener, *self._sockets]:
            one.close()


@pytest.fixture
def fresh_client(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Lets a test change the environment before the client is made."""
    monkeypatch.setattr(s3_client, "MAX_ATTEMPTS", 2)
    s3_client._made.cache_clear()
    yield monkeypatch
    s3_client._made.cache_clear()


@pytest.fixture
def proxy(s3_server: S3Server, fresh_client: pytest.MonkeyPatch) -> Iterator[Proxy]:
    one = Proxy(s3_server.port)
    fresh_client.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{one.port}")
    yield one
    s3_client.client().close()
    one.close()


@pytest.fixture
def store(s3_server: S3Server) -> S3Store:
    return S3Store(f"s3://{BUCKET}/{uuid.uuid4().hex}/")


def assert_sentences(store: S3Store, match: str) -> None:
    """Reading and writing alike end in one sentence."""
    for act in (store.probe, lambda: list(store.list())):
        with pytest.raises(InputError, match=match) as raised:
            act()
        assert str(raised.value).endswith(".")
        assert "\n" not in str(raised.value)


def test_a_missing_bucket(s3_server: S3Server) -> None:
    assert_sentences(S3Store("s3://no-such-bucket/x"), "no bucket no-such-bucket: create it")


def test_a_wrong_secret(store: S3Store, fresh_client: pytest.MonkeyPatch) -> None:
    fresh_client.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert_sentences(store, "credentials were not accepted")


def test_an_unknown_key(store: S3Store, fresh_client: pytest.MonkeyPatch) -> None:
    fresh_client.setenv("AWS_ACCESS_KEY_ID", "nobody")
    assert_sentences(store, "credentials were not accepted")


def test_no_credentials(store: S3Store, fresh_client: pytest.MonkeyPatch) -> None:
    fresh_client.delenv("AWS_ACCESS_KEY_ID")
    fresh_client.delenv("AWS_SECRET_ACCESS_KEY")
    assert_sentences(store, "no credentials .* set AWS_ACCESS_KEY_ID")


def test_nobody_listens(store: S3Store, fresh_client: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    fresh_client.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    assert_sentences(store, "can't be reached .* check the network")


def test_an_endpoint_that_is_no_address(store: S3Store, fresh_client: pytest.MonkeyPatch) -> None:
    fresh_client.setenv("AWS_ENDPOINT_URL", "localhost 9000")
    assert_sentences(store, "correct AWS_ENDPOINT_URL")


def test_a_server_that_goes_away_is_no_fault_of_the_user(proxy: Proxy, store: S3Store) -> None:
    store.put("a", b"x")
    proxy.cut_after, proxy.cuts = 0, 10
    with pytest.raises(StoreError) as raised:
        store.get("a")
    assert not isinstance(raised.value, InputError)
    proxy.cuts = 0
    assert store.get("a") == b"x"


def test_a_store_that_ignores_the_condition(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = s3_client.client().put_object
    monkeypatch.setattr(s3_client.client(), "put_object", lambda IfNoneMatch, **rest: plain(**rest))  # noqa: N803
    with pytest.raises(InputError, match="ignores conditional puts"):
        store.probe()
    assert list(store.list("_pumice/")) == []


def test_a_name_that_is_not_unicode(store: S3Store) -> None:
    with pytest.raises(StoreError, match="not Unicode"):
        store.put("caf\udce9.tif", b"x")


def test_a_body_that_breaks_off_is_taken_up_where_it_broke(proxy: Proxy, store: S3Store) -> None:
    data = os.urandom(3 << 20)
    store.put("a", data)
    info = store.stat("a")
    assert info is not None
    with store.open(info) as stream:
        proxy.cut_after, proxy.cuts = 1 << 20, 3
        assert stream.read() == data
        assert proxy.cuts < 3
        proxy.cuts = 0
        stream.seek(1234)
        assert stream.read(10) == data[1234:1244]


def test_a_body_that_never_comes_is_an_error(proxy: Proxy, store: S3Store) -> None:
    store.put("a", b"x" * 100_000)
    info = store.stat("a")
    assert info is not None
    proxy.cut_after, proxy.cuts = 300, 100
    with store.open(info) as stream, pytest.raises(StoreError):
        stream.read()
    proxy.cuts = 0


@pytest.mark.parametrize("data", [b"x" * 10, b"x" * 100_000])
def test_a_create_whose_answer_got_lost_is_won(proxy: Proxy, store: S3Store, data: bytes) -> None:
    proxy.cut_after, proxy.cuts = CONTINUE, 1
    assert store.create("a", data)
    assert proxy.cuts == 0
    assert not store.create("a", b"other")
    assert store.get("a") == data


def test_a_publish_whose_answer_got_lost_is_done(proxy: Proxy, store: S3Store) -> None:
    upload = store.stage("a", "r1-a0001")
    upload.write(b"x")
    staged = upload.finish()
    proxy.cut_after, proxy.cuts = 0, 1
    store.publish(staged)
    assert proxy.cuts == 0
    assert store.get("a") == b"x"


def test_marks_of_folders_are_not_scans(store: S3Store) -> None:
    store.put("a/scan.tif", b"x")
    s3_client.client().put_object(
        Bucket=BUCKET, Key=store.url.removeprefix(f"s3://{BUCKET}/") + "/b/", Body=b""
    )
    assert [info.key for info in store.list()] == ["a/scan.tif"]


def test_a_key_that_no_folder_could_hold_is_not_lost_silently(
    store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pages:
        def paginate(self, Prefix: str, **_: str) -> Iterator[dict[str, object]]:  # noqa: N803
            yield {"Contents": [{"Key": f"{Prefix}a/../b.tif", "Size": 1, "ETag": '"e"'}]}

    monkeypatch.setattr(s3_client.client(), "get_paginator", lambda _: Pages())
    with pytest.raises(InputError, match="'a/../b.tif'"):
        list(store.list())


def test_the_whole_bucket_is_a_place(s3_server: S3Server) -> None:
    whole = S3Store(f"s3://{BUCKET}")
    assert whole.get("ready") == b"yes"
    assert "ready" in [info.key for info in whole.list("rea")]
