"""What the machine has, against psutil and the system's own files, and pretended containers."""

import math
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from course_lib import TINY_MODEL_PATH, cpu_features, gpu_devices, hardware
from course_lib.config import MISTRAL_7B_V03, TINY_MISTRAL
from course_lib.container_limits import ContainerLimits, container_limits
from course_lib.gpu_devices import Gpu, llama_cpp_gpus
from course_lib.hardware import (
    ModelTooLargeError,
    detect_hardware,
    recommend_quantization,
    recommend_settings,
)
from course_lib.memory_estimate import estimate_memory
from course_lib.model_size import gguf_bytes
from course_lib.random_model import write_hollow_model, write_random_model

GIB = 1 << 30


def tree(root, files):
    """Write a pretended ``/proc`` and ``/sys``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture(autouse=True)
def no_limits_from_outside(monkeypatch):
    monkeypatch.delenv("CPU_LIMIT", raising=False)
    monkeypatch.delenv("MEM_LIMIT", raising=False)


# --- this machine


def test_memory_is_at_most_what_psutil_sees():
    machine = detect_hardware()
    assert 0 < machine.available_ram_bytes <= machine.ram_bytes <= psutil.virtual_memory().total


def test_memory_is_all_of_it_outside_a_container(tmp_path):
    assert detect_hardware(root=tmp_path).ram_bytes == psutil.virtual_memory().total


def test_threads_are_those_that_this_process_may_use(tmp_path):
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert detect_hardware(root=tmp_path).logical_cores == usable


def test_platform_and_disk_are_those_of_the_standard_library(tmp_path):
    machine = detect_hardware(tmp_path)
    assert (machine.os, machine.machine) == (platform.system(), platform.machine())
    assert abs(machine.disk_free_bytes - shutil.disk_usage(tmp_path).free) < 100e6


def test_a_folder_that_does_not_exist_yet_has_a_disk(tmp_path):
    assert detect_hardware(tmp_path / "models" / "new").disk_free_bytes > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/cpuinfo")
def test_features_are_among_those_of_the_processor():
    flags = Path("/proc/cpuinfo").read_text().lower().split()
    aliases = {
        "NEON": "asimd",
        "FP16": "asimdhp",
        "DOTPROD": "asimddp",
        "AVX512_VBMI": "avx512vbmi",
    }
    found = detect_hardware().cpu_features
    assert all(aliases.get(name, name.lower()) in flags for name in found)
    assert ("AVX2" in found) == ("avx2" in flags)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_affinity_lowers_the_number_of_cores():
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "from course_lib.hardware import detect_hardware as d; m = d();"
        "print(m.logical_cores, m.physical_cores)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1", "1"]


def test_llama_cpp_sees_the_memory_that_psutil_sees():
    pytest.importorskip("llama_cpp")
    processor = next(device for kind, device in gpu_devices._ggml_devices() if kind == 0)
    assert processor.total_bytes == psutil.virtual_memory().total


# --- GPUs


def test_only_graphics_processors_count_as_gpus(monkeypatch):
    devices = [(kind, Gpu(f"device {kind}", kind, kind)) for kind in range(5)]
    monkeypatch.setattr(gpu_devices, "_ggml_devices", lambda: devices)
    assert llama_cpp_gpus() == (Gpu("device 1", 1, 1), Gpu("device 2", 2, 2))


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError, AttributeError])
def test_without_llama_cpp_there_are_no_gpus(monkeypatch, error):
    def fail():
        raise error("libllama is missing")

    monkeypatch.setattr(gpu_devices, "_ggml_devices", fail)
    assert llama_cpp_gpus() == ()


def test_import_loads_no_llama_cpp():
    code = "import sys, course_lib.hardware; print('llama_cpp' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


# --- other processors


def test_hyperthreads_share_a_core(tmp_path, monkeypatch):
    pairs = ["0,4", "1,5", "2,6", "3,7"] * 2
    siblings = "sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"
    tree(tmp_path, {siblings.format(i): pair for i, pair in enumerate(pairs)})
    monkeypatch.setattr(hardware, "_usable_cpus", lambda: list(range(8)))
    machine = detect_hardware(root=tmp_path)
    assert (machine.physical_cores, machine.logical_cores) == (4, 8)
    monkeypatch.setattr(hardware, "_usable_cpus", lambda: [0, 4, 5])
    machine = detect_hardware(root=tmp_path)
    assert (machine.physical_cores, machine.logical_cores) == (2, 3)


def test_arm_names_its_board_and_features(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    cpuinfo = "processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp crc32\n\nprocessor\t: 1\n"
    model = "sys/firmware/devicetree/base/model"
    root = tree(tmp_path, {"proc/cpuinfo": cpuinfo, model: "Raspberry Pi 5 Model B\0"})
    machine = detect_hardware(root=root)
    assert machine.cpu_name == "Raspberry Pi 5 Model B"
    assert machine.cpu_features == ("NEON", "FP16", "DOTPROD")


@pytest.mark.parametrize(
    ("listing", "features"),
    [
        (
            "machdep.cpu.brand_string: Intel\nmachdep.cpu.features: FPU FMA AVX1.0 F16C\n"
            "machdep.cpu.leaf7_features: BMI2 AVX2\nhw.optional.avx512f: 0\n",
            ("AVX", "AVX2", "FMA", "F16C", "BMI2"),
        ),
        (
            "machdep.cpu.brand_string: Apple M2\nhw.optional.neon: 1\n"
            "hw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 1\n"
            "hw.optional.arm.FEAT_SME: 0\n",
            ("NEON", "DOTPROD", "I8MM"),
        ),
    ],
)
def test_macos_features_are_read_from_sysctl(monkeypatch, listing, features):
    monkeypatch.setattr(cpu_features.sys, "platform", "darwin")
    monkeypatch.setattr(cpu_features, "_sysctl", lambda *arguments: listing)
    assert cpu_features.cpu_features.__wrapped__(Path("/")) == features


# --- containers


def test_version_2_limits_hold_on_every_level(tmp_path):
    group = "sys/fs/cgroup/pod/app/"
    files = {
        "proc/self/cgroup": "0::/pod/app\n",
        group + "memory.max": "max\n",
        group + "memory.current": f"{GIB}\n",
        group + "cpu.max": "400000 100000\n",
        "sys/fs/cgroup/pod/memory.max": f"{2 * GIB}\n",
        "sys/fs/cgroup/pod/memory.current": f"{GIB}\n",
        "sys/fs/cgroup/pod/memory.stat": f"anon 1\ninactive_file {GIB // 2}\n",
        "sys/fs/cgroup/pod/cpu.max": "150000 100000\n",
    }
    found = container_limits(tree(tmp_path, files), {})
    assert found == ContainerLimits(1.5, 2 * GIB, 1.5 * GIB)


def test_version_2_limits_hold_where_the_host_path_is_hidden(tmp_path):
    files = {
        "proc/self/cgroup": "0::/../../kubepods/x\n",
        "sys/fs/cgroup/memory.max": f"{GIB}\n",
        "sys/fs/cgroup/memory.current": "0\n",
        "sys/fs/cgroup/cpu.max": "max 100000\n",
    }
    assert container_limits(tree(tmp_path, files), {}) == ContainerLimits(math.inf, GIB, GIB)


def test_version_1_limits_hold(tmp_path):
    files = {
        "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n",
        "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": f"{3 * GIB}\n",
        "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes": f"{2 * GIB}\n",
        "sys/fs/cgroup/memory/docker/abc/memory.stat": f"cache 9\ntotal_inactive_file {GIB}\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "200000\n",
        "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
    }
    found = container_limits(tree(tmp_path, files), {})
    assert found == ContainerLimits(2.0, 3 * GIB, 2 * GIB)


def test_version_1_without_a_limit_is_unlimited(tmp_path):
    files = {
        "proc/self/cgroup": "4:memory:/\n3:cpu:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB}\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    }
    assert container_limits(tree(tmp_path, files), {}) == ContainerLimits()


@pytest.mark.parametrize("nonsense", ["", "max", "-1", "many", "nan", "\n"])
def test_nonsense_limits_nothing(tmp_path, nonsense):
    files = {"sys/fs/cgroup/memory.max": nonsense, "sys/fs/cgroup/cpu.max": nonsense}
    variables = {"CPU_LIMIT": nonsense, "MEM_LIMIT": nonsense}
    assert container_limits(tree(tmp_path, files), variables) == ContainerLimits()


def test_hub_variables_are_limits(tmp_path):
    found = container_limits(tmp_path, {"CPU_LIMIT": "2.0", "MEM_LIMIT": str(GIB)})
    assert (found.n_cpus, found.memory_bytes) == (2.0, GIB)


def test_machine_is_as_small_as_its_container(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "_usable_cpus", lambda: list(range(16)))
    total = SimpleNamespace(total=64 * GIB, available=50 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: total)
    files = {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": f"{2 * GIB}\n",
        "sys/fs/cgroup/memory.current": f"{GIB}\n",
        "sys/fs/cgroup/cpu.max": "50000 100000\n",
    }
    machine = detect_hardware(root=tree(tmp_path, files))
    assert (machine.ram_bytes, machine.available_ram_bytes) == (2 * GIB, GIB)
    assert (machine.physical_cores, machine.logical_cores) == (1, 1)


# --- settings


@pytest.fixture(scope="module")
def machine():
    return replace(detect_hardware(), gpus=(), available_ram_bytes=16_000_000_000)


def test_settings_are_one_thread_a_core_and_the_trained_context(machine):
    settings = recommend_settings(TINY_MODEL_PATH, replace(machine, physical_cores=6))
    assert (settings.n_threads, settings.n_threads_batch, settings.n_ctx) == (6, 6, 512)
    assert settings.n_gpu_layers == 0 and settings.use_mmap


def test_limits_of_a_container_are_kept(tmp_path, monkeypatch):
    limits = ContainerLimits(n_cpus=1, memory_bytes=2e9, available_bytes=1.8e9)
    monkeypatch.setattr(hardware, "container_limits", lambda root: limits)
    config = replace(MISTRAL_7B_V03, n_layers=2, vocab_size=2048)
    path = write_random_model(tmp_path / "r.gguf", config, "Q4_0", rng=np.random.default_rng(0))
    settings = recommend_settings(path)
    assert settings.n_threads == settings.n_threads_batch == 1
    memory = estimate_memory(path, n_ctx=settings.n_ctx, use_mmap=settings.use_mmap)
    assert memory.total <= 1.8e9


def test_a_context_shrinks_until_it_fits(tmp_path, machine):
    path = write_random_model(
        tmp_path / "r.gguf", replace(TINY_MISTRAL, max_seq_len=8192), rng=np.random.default_rng(0)
    )
    small = replace(machine, available_ram_bytes=25_000_000)
    settings = recommend_settings(path, small)
    assert settings.n_ctx == 2048
    with pytest.raises(ModelTooLargeError, match=r"4,096 tokens takes .* smaller n_ctx"):
        recommend_settings(path, small, n_ctx=4096)


def test_what_fits_no_way_is_refused(machine):
    with pytest.raises(ModelTooLargeError, match="smaller model"):
        recommend_settings(TINY_MODEL_PATH, replace(machine, available_ram_bytes=1_000_000))


@pytest.mark.parametrize(("free_gb", "expected"), [(24, -1), (3.0, 17), (0.4, 0)])
def test_as_many_layers_as_fit_go_to_the_gpu(tmp_path, machine, free_gb, expected):
    path = tmp_path / "sparse.gguf"
    write_hollow_model(path, MISTRAL_7B_V03, "Q4_0")
    gpu = Gpu("a card", int(free_gb * 1e9), int(24e9))
    settings = recommend_settings(path, replace(machine, gpus=(gpu,)), n_ctx=4096)
    assert settings.n_gpu_layers == expected


def test_what_the_gpu_does_not_take_must_fit_into_memory(tmp_path, machine):
    path = tmp_path / "sparse.gguf"
    write_hollow_model(path, MISTRAL_7B_V03, "Q4_0")
    gpu = Gpu("a card", 3 * 10**9, 24 * 10**9)
    tight = replace(machine, gpus=(gpu,), available_ram_bytes=10**9, cpu_features=("AVX2",))
    with pytest.raises(ModelTooLargeError, match="4,096 tokens"):
        recommend_settings(path, tight, n_ctx=4096)
    roomy = replace(tight, available_ram_bytes=3 * 10**9)
    assert recommend_settings(path, roomy, n_ctx=4096).n_gpu_layers == 17
    whole = replace(tight, gpus=(Gpu("a card", 24 * 10**9, 24 * 10**9),))
    assert recommend_settings(path, whole, n_ctx=4096).n_gpu_layers == -1


def test_the_usual_level_is_taken_where_it_fits(machine):
    assert recommend_quantization(MISTRAL_7B_V03, machine) == "Q4_K_M"
    assert recommend_quantization(MISTRAL_7B_V03, machine, quality_priority=True) == "Q8_0"


def test_less_memory_means_fewer_bits(machine):
    levels = [
        recommend_quantization(
            MISTRAL_7B_V03, replace(machine, available_ram_bytes=int(gb * 1e9)), True
        )
        for gb in (16, 8, 7, 6, 5, 4)
    ]
    bytes_of = [gguf_bytes(MISTRAL_7B_V03, level) for level in levels]
    assert bytes_of == sorted(bytes_of, reverse=True) and len(set(levels)) >= 4
    with pytest.raises(ModelTooLargeError, match="select_model"):
        recommend_quantization(MISTRAL_7B_V03, replace(machine, available_ram_bytes=10**9))
