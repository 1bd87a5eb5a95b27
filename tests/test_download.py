"""Downloads from a hub on this machine: the right file, or a reason and nothing wrong."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import namedtuple
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hub_server import running_hub

from course_lib import download, hub_transfer, model_catalog
from course_lib.download import ChecksumError, download_model, find_downloaded, model_folder
from course_lib.hub_transfer import DownloadError
from course_lib.model_catalog import MODELS, ModelNotFoundError

NAME = "qwen3-0.6b"
DATA = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def hub(monkeypatch):
    with running_hub() as hub:
        entry = replace(MODELS[NAME], size_bytes=len(DATA), sha256=sha256(DATA).hexdigest())
        hub.files[entry.repository, entry.revision, entry.file_name] = DATA
        monkeypatch.setitem(model_catalog.MODELS, NAME, entry)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("COURSE_MODELS", raising=False)
        monkeypatch.setattr(hub_transfer, "_WAIT_S", 0.01)
        hub.entry = entry
        yield hub


def files(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def fails(error, words, folder):
    with pytest.raises(error, match=words) as caught:
        download_model(NAME, folder)
    assert not (folder / MODELS[NAME].file_name).exists()
    return caught.value


# --- the way it should go


def test_a_model_is_downloaded_and_complete(hub, tmp_path):
    path = download_model(NAME, tmp_path / "new" / "models")
    assert path == tmp_path / "new" / "models" / hub.entry.file_name
    assert path.read_bytes() == DATA
    assert files(path.parent) == [path.name]


def test_the_pinned_revision_is_asked_for(hub, tmp_path):
    download_model(NAME, tmp_path)
    entry = hub.entry
    assert hub.requests[0][0] == f"/{entry.repository}/resolve/{entry.revision}/{entry.file_name}"


def test_what_is_here_is_not_downloaded_again(hub, tmp_path):
    first = download_model(NAME, tmp_path)
    n_requests = len(hub.requests)
    assert download_model(NAME, tmp_path) == first
    assert len(hub.requests) == n_requests


def test_the_folder_of_the_workshop_is_used(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path / "shared"))
    path = download_model(NAME)
    assert path.parent == tmp_path / "shared"
    assert find_downloaded(hub.entry) == path


def test_models_live_in_the_folder_of_the_course(monkeypatch):
    monkeypatch.delenv("COURSE_MODELS", raising=False)
    assert model_folder() == Path(download.__file__).parents[1] / "models"


def test_what_huggingface_hub_has_in_its_cache_is_used(hub, tmp_path, monkeypatch):
    path = tmp_path / "cached.gguf"
    path.write_bytes(DATA)
    monkeypatch.setenv("COURSE_MODELS", str(tmp_path / "empty"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a, **k: str(path))
    assert download_model(NAME) == path
    assert hub.requests == []


def test_a_token_goes_to_the_hub_alone(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    download_model(NAME, tmp_path)
    (_, first), *_ = hub.requests
    assert first["authorization"] == "Bearer hf_secret"


# --- broken off


def test_a_connection_that_breaks_goes_on_where_it_stopped(hub, tmp_path):
    hub.faults.extend(["cut:1000000", "cut:500000"])
    assert download_model(NAME, tmp_path).read_bytes() == DATA
    assert hub.n_bytes_sent <= 1.1 * len(DATA)


CHILD = """if True:
    import sys
    from dataclasses import replace
    from course_lib import model_catalog
    from course_lib.download import download_model
    name, size_bytes, sha256, folder = sys.argv[1:]
    entry = replace(model_catalog.MODELS[name], size_bytes=int(size_bytes), sha256=sha256)
    model_catalog.MODELS[name] = entry
    print(download_model(name, folder))
"""


def child(hub, folder):
    arguments = [NAME, str(len(DATA)), hub.entry.sha256, str(folder)]
    command = [sys.executable, "-c", CHILD, *arguments]
    environ = os.environ | {"HF_ENDPOINT": hub.url}
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_killed_download_keeps_what_came(hub, tmp_path):
    partial = tmp_path / (hub.entry.file_name + ".part")
    process = child_that_is_killed_at(hub, tmp_path, partial, int(0.6 * len(DATA)))
    assert process.returncode != 0
    kept = partial.stat().st_size
    assert kept >= 0.55 * len(DATA)
    before = hub.n_bytes_sent
    assert download_model(NAME, tmp_path).read_bytes() == DATA
    assert hub.n_bytes_sent - before <= 0.45 * len(DATA)


def child_that_is_killed_at(hub, folder, partial, n_bytes):
    hub.faults.append(f"pause:{n_bytes}")
    process = child(hub, folder)
    deadline = time.monotonic() + 30
    while not partial.exists() or partial.stat().st_size < n_bytes:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    hub.resume.set()
    return process


def test_two_processes_take_turns(hub, tmp_path):
    first, second = child(hub, tmp_path), child(hub, tmp_path)
    outputs = [process.communicate()[0] for process in (first, second)]
    assert first.returncode == second.returncode == 0
    assert outputs[0] == outputs[1]
    assert hub.n_bytes_sent == len(DATA)
    assert (tmp_path / hub.entry.file_name).read_bytes() == DATA


def test_two_threads_take_turns(hub, tmp_path):
    paths = []
    threads = [
        threading.Thread(target=lambda: paths.append(download_model(NAME, tmp_path)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4
    assert hub.n_bytes_sent == len(DATA)


@pytest.mark.parametrize("fault", ["no ranges", "wrong part"])
def test_a_hub_that_sends_another_part_does_no_harm(hub, tmp_path, fault):
    partial = tmp_path / (hub.entry.file_name + ".part")
    partial.write_bytes(DATA[:1_000_000])
    hub.faults.append(fault)
    assert download_model(NAME, tmp_path).read_bytes() == DATA


def test_a_beginning_of_another_file_is_thrown_away(hub, tmp_path):
    (tmp_path / (hub.entry.file_name + ".part")).write_bytes(bytes(1_000_000))
    assert download_model(NAME, tmp_path).read_bytes() == DATA


def test_a_beginning_that_is_too_long_is_thrown_away(hub, tmp_path):
    (tmp_path / (hub.entry.file_name + ".part")).write_bytes(bytes(len(DATA) + 7))
    assert download_model(NAME, tmp_path).read_bytes() == DATA


# --- refused


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "HF_TOKEN"),
        (403, "accept their conditions"),
        (404, "no such file"),
        (418, "answered 418"),
        (429, "too many requests"),
        (500, "answered 500"),
        (503, "answered 503"),
    ],
)
def test_a_refusal_is_explained(hub, tmp_path, status, words):
    hub.always = str(status)
    fails(DownloadError, words, tmp_path)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(hub, tmp_path, status):
    hub.faults.extend([str(status)] * 2)
    assert download_model(NAME, tmp_path).read_bytes() == DATA


def test_wrong_bytes_never_get_the_final_name(hub, tmp_path):
    hub.always = "other bytes"
    fails(ChecksumError, "SHA-256 differs", tmp_path)
    assert files(tmp_path) == []


def test_a_body_that_is_always_short_is_reported(hub, tmp_path):
    hub.files[hub.entry.repository, hub.entry.revision, hub.entry.file_name] = DATA[:-10]
    fails(DownloadError, "2,999,990 bytes, and 3,000,000 are recorded", tmp_path)


def test_a_longer_file_is_another_one(hub, tmp_path):
    hub.always = "longer"
    fails(DownloadError, "3,000,004 bytes", tmp_path)


def test_another_revision_is_refused(hub, tmp_path):
    hub.always = "another revision"
    fails(DownloadError, "instead of", tmp_path)
    assert files(tmp_path) == []


def test_a_refused_connection_is_reported_at_once(hub, tmp_path, monkeypatch):
    monkeypatch.undo()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    start = time.monotonic()
    with pytest.raises(DownloadError, match=f"127.0.0.1:{port} cannot be reached"):
        download_model(NAME, tmp_path)
    assert time.monotonic() - start < 5


def test_offline_means_offline(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    fails(DownloadError, "HF_HUB_OFFLINE", tmp_path)
    assert hub.requests == []


def test_an_unknown_name_is_no_path(tmp_path):
    for name in ("gpt-5", "../../etc/passwd", "/etc/passwd", ""):
        with pytest.raises(ModelNotFoundError, match="Choose one of"):
            download_model(name, tmp_path)


# --- the disk


def test_a_disk_without_room_is_noticed_first(hub, tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1_000_000))
    fails(DownloadError, r"needs 0\.05 GB more", tmp_path)
    assert hub.requests == []


def test_a_disk_that_fills_keeps_what_came(hub, tmp_path, monkeypatch):
    original = hub_transfer._append

    def full(response, path, n_bytes, on_bytes):
        original(response, path, n_bytes, on_bytes)
        raise OSError(28, "No space left on device")

    hub.faults.append("cut:1000000")
    monkeypatch.setattr(hub_transfer, "_append", full)
    fails(DownloadError, "No space left", tmp_path)
    monkeypatch.undo()


def test_a_file_of_that_name_that_is_another_one_is_left_alone(hub, tmp_path):
    mine = tmp_path / hub.entry.file_name
    mine.write_text("mine")
    with pytest.raises(ChecksumError, match="Rename or delete it"):
        download_model(NAME, tmp_path)
    assert mine.read_text() == "mine"


def test_a_read_only_folder_serves_what_it_has(hub, tmp_path, monkeypatch):
    path = download_model(NAME, tmp_path)

    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write anywhere, so it is simulated
    assert download_model(NAME, tmp_path) == path
    path.unlink()
    fails(DownloadError, "Permission denied", tmp_path)


def test_links_do_not_lead_out_of_the_folder(hub, tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "models"
    outside.write_text("precious")
    folder.mkdir()
    for ending in (".part", ".lock"):
        (folder / (hub.entry.file_name + ending)).symlink_to(outside)
    assert download_model(NAME, folder).read_bytes() == DATA
    assert outside.read_text() == "precious"


@pytest.mark.parametrize("file_name", ["../x.gguf", "/tmp/x.gguf", "a/b.gguf", "..", ""])
def test_a_name_of_a_file_cannot_leave_the_folder(hub, tmp_path, monkeypatch, file_name):
    monkeypatch.setitem(model_catalog.MODELS, NAME, replace(hub.entry, file_name=file_name))
    with pytest.raises(DownloadError, match="not the name of a file"):
        download_model(NAME, tmp_path)
    assert hub.requests == []
