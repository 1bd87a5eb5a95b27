"""``python -m tools.bench [NAME …]``: run every ``bench_*.py`` of this folder, or those named.

Prints one row a comparison, and exits with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from tools.bench import Result

NAMES = sorted(p.stem.removeprefix("bench_") for p in Path(__file__).parent.glob("bench_*.py"))


def table(results: Sequence[Result]) -> str:
    """Lay the results out, one a line."""
    head = f"{'benchmark':36} {'textbook':>10} {'ours':>10} {'ratio':>8} {'bar':>6}  verdict"
    rows = [
        f"{r.name:36} {r.reference:8.2f} {r.unit:2} {r.ours:8.3f} {r.unit:2} {r.ratio:7.2f}× "
        f"{'–' if r.bar is None else f'{r.bar:g}×':>6}  {r.verdict:7} {r.note}".rstrip()
        for r in results
    ]
    return "\n".join([head, *rows])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench", description="Compare this code with the textbook's loops."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; or all")
    names = parser.parse_args(arguments).names or NAMES
    if unknown := set(names) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}")
    results: list[Result] = []
    for name in names:
        print(f"running {name} …", file=sys.stderr, flush=True)
        results += import_module(f"tools.bench.bench_{name}").run()
    print(table(results))
    return int(any(result.verdict == "MISSED" for result in results))


if __name__ == "__main__":
    sys.exit(main())
