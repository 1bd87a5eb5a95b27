"""Servers of a model on this machine: a scripted one that fails on purpose, and two real ones."""

import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict, deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CUT = "cut"  # the connection breaks off here
DONE = b"data: [DONE]\n\n"


@dataclass
class Reply:
    """What the server sends: parts are bytes, seconds to wait, or `CUT`."""

    status: int = 200
    parts: tuple = ()
    headers: dict = field(default_factory=lambda: {"Content-Type": "text/event-stream"})


def event(text, *, chat=True, finish=None, **more):
    """One event of an answer."""
    said = {"delta": {"content": text}} if chat else {"text": text}
    choice = said | {"index": 0, "finish_reason": finish}
    return data({"choices": [choice], **more})


def data(found):
    return f"data: {json.dumps(found, ensure_ascii=False)}\n\n".encode()


def answer(*texts, chat=True):
    """A whole answer, well formed."""
    events = [event(text, chat=chat) for text in texts]
    return Reply(parts=(*events, event("", chat=chat, finish="stop"), DONE))


def error(status, message, **headers):
    body = message if isinstance(message, bytes) else json.dumps({"error": {"message": message}})
    body = body.encode() if isinstance(body, str) else body
    return Reply(status, (body,), {"Content-Type": "application/json"} | headers)


def json_reply(found):
    return Reply(200, (json.dumps(found).encode(),), {"Content-Type": "application/json"})


@dataclass
class ChatServer:
    """A server whose replies are set by tests.

    Attributes
    ----------
    replies : dict of str to deque of Reply
        By path; the last one of a path is given again and again. Other paths get a 404.
    requests : list of (method, path, headers, body)
    hung_up : threading.Event
        Set when a client has gone before its reply was sent.
    """

    replies: dict = field(default_factory=lambda: defaultdict(deque))
    requests: list = field(default_factory=list)
    hung_up: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, *replies, path="/v1/chat/completions"):
        self.replies[path] = deque(replies)

    def sent(self, path="/v1/chat/completions"):
        """Return the bodies that came for a path."""
        return [body for _, asked, _, body in self.requests if asked == path]

    def next_reply(self, path):
        with self.lock:
            replies = self.replies.get(path)
            if not replies:
                return error(404, f"no {path} here")
            return replies.popleft() if len(replies) > 1 else replies[0]


@contextmanager
def scripted_server(port=0):
    """Serve a `ChatServer` until the block ends, on a port of its own unless one is given."""
    chat = ChatServer()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def do_GET(self):
            self.reply()

        def do_POST(self):
            self.reply()

        def reply(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found = json.loads(body) if body else None
            with chat.lock:
                chat.requests.append((self.command, self.path, dict(self.headers), found))
            reply = chat.next_reply(self.path)
            try:
                self.send(reply)
            except OSError:
                chat.hung_up.set()
                self.close_connection = True

        def send(self, reply):
            parts = list(reply.parts)
            while parts and isinstance(parts[0], (int, float)):  # before the first byte
                self.wait(parts.pop(0))
            if parts and parts[0] == CUT:
                return self.cut()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in parts:
                if part == CUT:
                    return self.cut()
                if isinstance(part, (int, float)):
                    self.wait(part)
                else:
                    self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                    self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

        def wait(self, seconds):
            """Sleep, unless the client goes."""
            until_s = time.monotonic() + seconds
            while time.monotonic() < until_s and not ended.is_set():
                readable, _, _ = select.select([self.connection], [], [], 0.01)
                if readable and not self.connection.recv(1, socket.MSG_PEEK):
                    raise ConnectionResetError

        def cut(self):
            self.wfile.flush()
            linger = struct.pack("ii", 1, 0)  # a reset instead of a farewell
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.handle_error = lambda *arguments: None  # clients go as they please
    server.daemon_threads = True
    chat.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield chat
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def free_port():
    """A port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def llama_cpp_python_server(model_path, log_path):
    """Run ``python -m llama_cpp.server``: one text at a time. Yields its address."""
    port = free_port()
    options = {"model": model_path, "model_alias": "tiny", "n_ctx": 512, "port": port}
    options |= {"host": "127.0.0.1", "n_threads": 1, "n_threads_batch": 1, "verbose": False}
    options |= {"interrupt_requests": False}  # else an answer ends when the next question comes
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    with _running([sys.executable, "-m", "llama_cpp.server", *arguments], port, log_path) as url:
        yield url


@contextmanager
def llama_cpp_server(model_path, log_path, n_slots=2):
    """Run llama.cpp's own server, as `xllamacpp` has it: several texts at a time."""
    port = free_port()
    program = f"""
import sys
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.model_alias = {str(model_path)!r}, ["tiny"]
params.port, params.n_parallel, params.n_ctx = {port}, {n_slots}, {512 * n_slots}
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(params)
sys.stdin.read()
"""
    with _running([sys.executable, "-c", program], port, log_path) as url:
        yield url


@contextmanager
def _running(command, port, log_path, ready_within_s=120):
    url = f"http://127.0.0.1:{port}/v1"
    with Path(log_path).open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUTF8": "1"},
        )
    try:
        until_s = time.monotonic() + ready_within_s
        while not _answers(f"{url}/models"):
            if process.poll() is not None or time.monotonic() > until_s:
                said = Path(log_path).read_text(encoding="utf-8", errors="replace")
                raise RuntimeError(f"the server did not start: {said[-2000:]}")
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        process.stdin.close()


def _answers(url):
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=2) as response:
            return response.status == 200
    except OSError:
        return False
