"""Modules of `course_lib` stand on floors and import only from below; each has its test file.

The floors keep the library readable from the bottom up: whoever reads a module needs nothing that
comes later.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import course_lib

PACKAGE = Path(course_lib.__file__).parent
TESTS = Path(__file__).parent

FLOORS = {
    "config rms_norm rope sampling quantization": 1,  # pure NumPy, no file, no state
    "attention feed_forward kv_cache tokenizer gguf_file model_size chat_template": 2,
    "transformer model_catalog download convert hardware": 3,
    "local_llm remote_llm benchmark chat_service": 4,
    "plots widgets exercises __main__": 5,
}
# What was split off one of these: its floor, and the module whose tests are also its own. Whoever
# stands on its floor may use it; it uses the floors below and other helpers, no neighbour.
HELPERS = {
    "gguf_cursor": (2, "gguf_file"),
    "gguf_header": (2, "gguf_file"),
    "gguf_values": (2, "gguf_file"),
    "gguf_model": (2, "gguf_file"),
    "gguf_vocabulary": (2, "gguf_file"),
    "vocabulary": (2, "tokenizer"),
    "bpe_training": (2, "tokenizer"),
    "activations": (2, "activations"),
    "quantization_blocks": (1, "quantization"),
    "k_quants": (1, "quantization"),
    "float_formats": (2, "float_formats"),
    "gguf_package": (1, "gguf_file"),
    "logit_filters": (1, "sampling"),
    "text_search": (1, "sampling"),
    "safetensors_file": (2, "hf_checkpoint"),
    "hf_vocabulary": (3, "hf_vocabulary"),
    "hf_checkpoint": (3, "hf_checkpoint"),
    "progress_bar": (1, "progress_bar"),
    "tensor_layout": (2, "model_size"),
    "memory_estimate": (2, "memory_estimate"),
    "cpu_features": (2, "hardware"),
    "hub_transfer": (3, "download"),
    "llama_file": (3, "llama_file"),
    "random_model": (3, "random_model"),
    "container_limits": (3, "hardware"),
    "gpu_devices": (3, "hardware"),
    "engine_options": (3, "hardware"),
    "quiet_engine": (3, "local_llm"),
    "chat_model": (3, "local_llm"),
    "chat_history": (3, "chat_service"),
    "fair_queue": (3, "chat_service"),
    "conversation": (4, "chat_service"),
    "remote_client": (4, "remote_llm"),
    "remote_errors": (4, "remote_llm"),
    "model_lookup": (4, "local_llm"),
    "generation_usage": (4, "local_llm"),
    "likelihood": (4, "benchmark"),
    "quality_measurement": (4, "benchmark"),
    "quantization_comparison": (4, "benchmark"),
    "speed_measurement": (4, "speed_measurement"),
    "speed_prediction": (4, "speed_prediction"),
    "engine_turns": (4, "local_llm"),
    "engine_chat": (4, "engine_chat"),
    "engine_loading": (4, "local_llm"),
    "engine_logits": (4, "engine_logits"),
    "engine_quantization": (4, "engine_quantization"),
    "engine_sampling": (4, "sampling"),
    "stop_strings": (4, "local_llm"),
    "model_plots": (5, "model_plots"),
    "bar_plots": (5, "model_plots"),
    "curve_plots": (5, "model_plots"),
    "model_widgets": (5, "model_widgets"),
    "chat_window": (5, "chat_window"),
    "hosted_setup": (5, "hosted_setup"),
    "compiler": (5, "compiler"),
    "report_card": (5, "report_card"),
    "report_page": (5, "report_card"),
    "doctor": (5, "__main__"),
}
# Imports from the same floor that are meant, each with its reason
NEIGHBOURS = {
    ("memory_estimate", "gguf_file"): "tells the memory of a file that is there",
    ("doctor", "plots"): "asks where the Hangul font is, to say so if it is missing",
    ("chat_window", "exercises"): "its labels are in the language of the edition",
    ("model_plots", "plots"): "shares the accent colour",
    ("bar_plots", "plots"): "shares the colours",
    ("curve_plots", "plots"): "shares the colours",
    ("report_page", "exercises"): "its words are in the language of the edition",
    ("report_page", "plots"): "its figure has the style of the course",
    ("quantization_comparison", "local_llm"): "runs what it compares",
    ("download", "model_catalog"): "looks up what it downloads",
}
FLOOR = {name: floor for names, floor in FLOORS.items() for name in names.split()}
FLOOR |= {name: floor for name, (floor, _) in HELPERS.items()}

Imports = dict[str, set[str]]


def module_names(package: Path = PACKAGE) -> list[str]:
    """Modules and sub-packages of the library, without `__init__`."""
    files = [path.stem for path in package.glob("*.py") if path.stem != "__init__"]
    return sorted(files + [path.parent.name for path in package.glob("*/__init__.py")])


def imports(source: str) -> set[str]:
    """Modules of the library that are imported anywhere, functions included.

    What only a type checker imports does not count: nothing runs on it.
    """
    found = set()
    for node in _running_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"line {node.lineno}: write 'from course_lib.x import …'")
        elif isinstance(node, ast.ImportFrom) and node.module == "course_lib":
            found |= {f"course_lib.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module)
    dotted = (name.split(".") for name in found if name.startswith("course_lib."))
    return {steps[1] for steps in dotted if steps[1] in set(module_names()) | FLOOR.keys()}


def _running_nodes(node: ast.AST):
    yield node
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        children = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _running_nodes(child)


def all_imports(package: Path = PACKAGE) -> Imports:
    """What each module imports; a sub-package counts as one."""
    found: Imports = {name: set() for name in module_names(package)}
    for path in package.rglob("*.py"):
        name = path.relative_to(package).with_suffix("").parts[0]
        if name != "__init__":
            found[name] |= imports(path.read_text(encoding="utf-8")) - {name}
    return found


def floor_complaints(found: Imports) -> list[str]:
    """Imports that do not come from below, modules without a floor, and circles."""
    unplaced = [name for name in found if name not in FLOOR]
    complaints = [
        f"{name} is new: give it a floor in FLOORS or HELPERS of tests/test_floors.py"
        for name in unplaced
    ]
    complaints += [
        f"{name} (floor {FLOOR[name]}) imports {other} (floor {FLOOR[other]})"
        for name, others in found.items()
        for other in sorted(others)
        if name in FLOOR and other in FLOOR and not _may_import(name, other)
    ]
    return complaints + [f"{name} imports itself in a circle" for name in _in_a_circle(found)]


def _may_import(name: str, other: str) -> bool:
    if FLOOR[other] < FLOOR[name] or (name, other) in NEIGHBOURS:
        return True
    return FLOOR[other] == FLOOR[name] and other in HELPERS


def _in_a_circle(found: Imports) -> list[str]:
    def reached(name: str) -> set[str]:
        seen, waiting = set(), list(found.get(name, ()))
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen.add(other)
                waiting += found.get(other, ())
        return seen

    return [name for name in found if name in reached(name)]


def has_tests(name: str, tests: Path = TESTS) -> bool:
    """Whether a test file carries the module's name, or its owner's if it is a helper."""
    if (tests / f"test_{name.strip('_')}.py").exists():
        return True
    return name in HELPERS and has_tests(HELPERS[name][1], tests)


def test_modules_import_only_from_floors_below():
    complaints = floor_complaints(all_imports())
    assert not complaints, "\n".join(["", *complaints])


def test_package_itself_imports_no_module():
    source = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    assert imports(source) == set()


@pytest.mark.parametrize("name", module_names())
def test_module_has_its_test_file(name):
    assert has_tests(name), f"write tests/test_{name.strip('_')}.py"


def test_no_module_stands_on_two_floors():
    names = [name for names in FLOORS for name in names.split()] + list(HELPERS)
    assert len(names) == len(set(names))


# The checks themselves


@pytest.mark.parametrize(
    "found",
    [
        {"rope": {"tokenizer"}},
        {"tokenizer": {"gguf_file"}},
        {"gguf_header": {"gguf_file"}},
        {"transformer": {"exercises"}},
        {"hardware": {"engine_turns"}},
        {"gguf_cursor": {"gguf_header"}, "gguf_header": {"gguf_cursor"}},
    ],
    ids=["two floors up", "neighbour", "helper to neighbour", "top", "helper above", "circle"],
)
def test_import_that_is_not_from_below_is_noticed(found):
    assert floor_complaints(found)


def test_import_from_below_and_of_a_helper_is_fine():
    assert floor_complaints({"tokenizer": {"config", "gguf_header"}, "plots": {"local_llm"}}) == []


def test_module_without_a_floor_gets_a_kind_message():
    (complaint,) = floor_complaints({"fortune_teller": set()})
    assert complaint.startswith("fortune_teller is new: give it a floor in FLOORS")


@pytest.mark.parametrize(
    "source",
    [
        "import course_lib.plots",
        "from course_lib.plots import use_course_style",
        "from course_lib import plots",
        "def draw():\n    from course_lib.plots import use_course_style",
        "try:\n    import course_lib.plots as p\nexcept ImportError:\n    pass",
    ],
)
def test_every_way_of_importing_is_seen(source):
    assert imports(source) == {"plots"}


def test_imports_for_types_alone_do_not_count():
    source = (
        "if TYPE_CHECKING:\n    from course_lib.plots import X\nelse:\n    import course_lib.rope"
    )
    assert imports(source) == {"rope"}


def test_relative_imports_are_refused():
    with pytest.raises(AssertionError, match=r"from course_lib\.x import"):
        imports("from .plots import use_course_style")


def test_module_from_a_higher_floor_is_noticed_in_its_file(tmp_path):
    (tmp_path / "rope.py").write_text("def rope():\n    import course_lib.local_llm\n")
    assert floor_complaints(all_imports(tmp_path)) == ["rope (floor 1) imports local_llm (floor 4)"]


def test_module_without_a_test_file_is_noticed(tmp_path):
    assert not has_tests("rope", tmp_path)
    (tmp_path / "test_gguf_file.py").touch()
    assert has_tests("gguf_header", tmp_path)
