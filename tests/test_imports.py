"""What importing costs: a lesson on tokens must not load an inference engine or a plotter."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import course_lib

PACKAGE = Path(course_lib.__path__[0])
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.stem not in ("__init__", "__main__")
)
HEAVY = {"gguf", "huggingface_hub", "IPython", "ipywidgets", "jinja2", "llama_cpp", "matplotlib"}
HEAVY |= {"mistral_common", "numpy", "psutil", "torch"}


def loaded_by(module):
    """Import a module in a new process and return the heavy packages that came with it."""
    program = f"import sys; import {module}; print(*set(sys.modules))"
    output = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return HEAVY & {name.partition(".")[0] for name in output.split()}


def test_the_package_itself_loads_nothing_heavy():
    assert loaded_by("course_lib") == set()


@pytest.mark.parametrize("module", ["tokenizer", "chat_template", "stop_strings", "config"])
def test_modules_about_text_and_numbers_load_neither_engine_nor_plots_nor_torch(module):
    heavy = {"llama_cpp", "matplotlib", "torch", "ipywidgets", "huggingface_hub", "IPython"}
    assert not loaded_by(f"course_lib.{module}") & heavy


def test_loading_local_llm_leaves_llama_cpp_for_when_a_model_is_loaded():
    unwanted = {"llama_cpp", "matplotlib", "mistral_common", "torch"}
    assert not loaded_by("course_lib.local_llm") & unwanted


def test_gguf_keeps_its_other_uses():
    program = "import course_lib.gguf_header, sys; import mistral_common; print(len(sys.modules))"
    subprocess.run([sys.executable, "-c", program], cwd=PACKAGE.parent, check=True)


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_no_module_imports_torch_or_what_is_not_part_of_the_package(path):
    assert not set(imported_names(path)) & {"torch", "transformers", "tools", "tests"}


def test_no_star_imports():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert all(alias.name != "*" for alias in node.names), path


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_imported_first(module):
    loaded_by(module)
