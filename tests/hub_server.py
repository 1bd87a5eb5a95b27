"""A hub on this machine that speaks as Hugging Face's does, and fails on request.

A file lies under ``/owner/name/resolve/revision/file``. The answer is a redirection that names the
commit, to a store that sends the file, or the part of it that the header ``Range`` asks for.
"""

import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Hub:
    """What the server has, what it should do wrong, and what it was asked.

    Attributes
    ----------
    files : dict from (repository, revision, name) to bytes
    faults : deque of str
        What the next answers do wrong, one after the other: ``"429"`` and other codes, ``"cut:N"``
        (breaks off after N bytes), ``"no ranges"``, ``"wrong part"``, ``"another revision"``,
        ``"other bytes"``, ``"longer"``, ``"pause:N"`` (waits for `resume` after N bytes).
    n_bytes_sent : int
    requests : list of (path, headers)
    """

    files: dict = field(default_factory=dict)
    faults: deque = field(default_factory=deque)
    always: str = ""
    n_bytes_sent: int = 0
    requests: list = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    resume: threading.Event = field(default_factory=threading.Event)

    def next_fault(self):
        with self.lock:
            return self.faults.popleft() if self.faults else self.always


@contextmanager
def running_hub():
    """Serve a `Hub` on a port of its own until the block ends."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments):
            pass

        def do_GET(self):
            hub.requests.append((self.path, dict(self.headers)))
            if self.path.startswith("/store/"):
                self.send_file()
            elif "/resolve/" not in self.path:
                self.answer(404, {})
            else:
                self.redirect()

        def redirect(self):
            owner, name, _, revision, file_name = self.path.strip("/").split("/", 4)
            fault = hub.next_fault()
            if fault.isdecimal():
                self.answer(int(fault), {"Retry-After": "0"})
            elif (f"{owner}/{name}", revision, file_name) not in hub.files:
                self.answer(404, {"X-Error-Code": "EntryNotFound"})
            else:
                commit = "f" * 40 if fault == "another revision" else revision
                place = f"/store/{owner}/{name}/{revision}/{file_name}?{fault.replace(' ', '_')}"
                self.answer(302, {"X-Repo-Commit": commit, "ETag": '"e"', "Location": place})

        def send_file(self):
            path, _, fault = self.path.partition("?")
            owner, name, revision, file_name = path.removeprefix("/store/").split("/", 3)
            data = hub.files[f"{owner}/{name}", revision, file_name]
            fault = fault.replace("_", " ")
            if fault == "other bytes":
                data = bytes(len(data))
            if fault == "longer":
                data += b"more"
            start = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")
            start = 0 if fault == "no ranges" else int(start)
            if start >= len(data):
                self.answer(416, {"Content-Range": f"bytes */{len(data)}"})
                return
            if fault == "wrong part":
                start = max(start - 1, 0)
            is_part = "Range" in self.headers and fault != "no ranges"
            self.send_response(206 if is_part else 200)
            self.send_header("Content-Length", str(len(data) - start))
            if is_part:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            self.end_headers()
            end = len(data)
            if fault.startswith("pause:"):
                middle = int(fault.removeprefix("pause:"))
                self.send_bytes(data[start:middle])
                hub.resume.wait(30)
                start = middle
            if fault.startswith("cut:"):
                end = min(end, start + int(fault[4:]))
            self.send_bytes(data[start:end])
            if end < len(data):
                self.wfile.flush()
                self.close_connection = True

        def send_bytes(self, data):
            for place in range(0, len(data), 1 << 16):
                chunk = data[place : place + (1 << 16)]
                try:
                    self.wfile.write(chunk)
                except OSError:  # the reader has gone
                    self.close_connection = True
                    return
                with hub.lock:
                    hub.n_bytes_sent += len(chunk)

        def answer(self, status, headers):
            self.send_response(status)
            for key, value in ({"Content-Length": "0"} | headers).items():
                self.send_header(key, value)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
