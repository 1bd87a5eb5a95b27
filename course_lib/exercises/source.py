"""Answers as source text: what a cell holds before, after and instead of the learner's work."""

from __future__ import annotations

import ast
from typing import Any

import numpy as np


def answer_name(source: str) -> str:
    r"""Name that the last statement of `source` defines.

    Examples
    --------
    >>> answer_name("def double(x):\n    return 2 * x")
    'double'
    >>> answer_name("n_bytes = 6")
    'n_bytes'
    """
    last = ast.parse(source).body[-1]
    if isinstance(last, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return last.name
    if isinstance(last, ast.Assign) and isinstance(last.targets[0], ast.Name):
        return last.targets[0].id
    raise ValueError(f"the last statement defines no name: {ast.unparse(last)!r}. End in one.")


def starter_source(source: str) -> str:
    r"""What the learner finds: the answer's head, with `...` in place of its work.

    Examples
    --------
    >>> print(starter_source("def double(x: int) -> int:\n    return 2 * x"))
    def double(x: int) -> int:
        ...
    >>> starter_source("n_bytes = 6")
    'n_bytes = ...'
    """
    last = ast.parse(source).body[-1]
    if isinstance(last, (ast.FunctionDef, ast.AsyncFunctionDef)):
        last.body = [ast.Expr(ast.Constant(...))]
        return ast.unparse(last)
    if isinstance(last, ast.ClassDef):
        raise ValueError(f"class {last.name} needs its starter written out: starter='...'")
    return f"{answer_name(source)} = ..."


def evaluate(source: str) -> Any:
    r"""Run `source`, with `np` at hand, and return what its last statement defines.

    Examples
    --------
    >>> evaluate("def double(x):\n    return 2 * x")(4)
    8
    """
    namespace: dict[str, Any] = {"np": np, "__name__": "__main__"}
    exec(compile(source, "<answer>", "exec"), namespace)  # the course's own text
    return namespace[answer_name(source)]
