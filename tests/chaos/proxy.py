"""An HTTP proxy before the S3 server that breaks requests at random, as networks and services do."""

import random
import socket
import socketserver
import struct
import threading
import time
from collections import Counter
from contextlib import suppress

FAULTS = ("reset", "lost", "cut", "stall", "hang", "500", "503")
"""reset: before the server sees it; lost: the server acted and its answer never comes; cut: half an answer;
stall: the answer comes late; hang: later than the client waits; 500, 503: the service's own refusals."""

STALL_S, HANG_S = 0.5, 3.0
_CODES = {"500": ("Internal Server Error", "InternalError"), "503": ("Service Unavailable", "SlowDown")}


class FaultyProxy(socketserver.ThreadingTCPServer):
    """A share `rate` of requests meets one of `faults`; `struck` counts them."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, server_port: int, seed: int, faults: tuple[str, ...] = FAULTS) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server_port_ = server_port
        self.port: int = self.server_address[1]
        self.faults, self.rate = faults, 0.0
        self.struck: Counter[str] = Counter()
        self._chance, self._lock = random.Random(seed), threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def next_fault(self) -> str:
        """The fate of the next request; empty for none."""
        with self._lock:
            fault = self._chance.choice(self.faults) if self._chance.random() < self.rate else ""
            self.struck[fault] += 1
            return fault

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that ends early is what this is for."""

    def close(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()


class _Handler(socketserver.StreamRequestHandler):
    server: FaultyProxy

    def handle(self) -> None:
        """One request; both ends are told that the connection ends with it."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        lines = [line for line in head.split(b"\r\n") if line]
        names = {line.partition(b":")[0].lower(): line.partition(b":")[2].strip() for line in lines[1:]}
        fault = self.server.next_fault()
        if fault == "reset":
            self._reset()
            return
        if b"expect" in names and fault not in _CODES:
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = b""
        if b"expect" not in names or fault not in _CODES:
            body = self.rfile.read(int(names.get(b"content-length", b"0")))
        if fault in _CODES:
            self._refuse(fault)
            return
        kept = [line for line in lines if line.split(b":")[0].lower() not in (b"expect", b"connection")]
        self._answer(fault, self._ask(b"\r\n".join([*kept, b"Connection: close", b"", b""]) + body))

    def _ask(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.server.server_port_), timeout=60) as server:
            server.sendall(request)
            parts = []
            while part := server.recv(1 << 16):
                parts.append(part)
        return b"".join(parts)

    def _answer(self, fault: str, answer: bytes) -> None:
        if fault in ("stall", "hang"):
            time.sleep(STALL_S if fault == "stall" else HANG_S)
        if fault == "lost":
            self._reset()
        elif fault == "cut":
            self.wfile.write(answer[: len(answer) // 2])
            self._reset()
        else:
            with suppress(OSError):  # it did not wait
                self.wfile.write(answer)

    def _refuse(self, status: str) -> None:
        text, code = _CODES[status]
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>Please wait</Message></Error>"
        self.wfile.write(
            f"HTTP/1.1 {status} {text}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n"
            f"Connection: close\r\n\r\n{body}".encode()
        )

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
