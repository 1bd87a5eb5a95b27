"""Take the front page's pictures out of the lessons: ``python -m tools.pictures``.

The chat window is a widget, of which a lesson holds no picture: it was photographed in JupyterLab.
"""

from __future__ import annotations

import base64
from pathlib import Path

from tools.notebooks import NOTEBOOKS, ROOT, images, read_notebook

PICTURES = ROOT / "pictures"
SOURCES = {  # picture: lesson and cell
    "map": ("00_start_here", "map-picture"),
    "attention": ("03_attention", "heads-picture"),
    "quantization": ("06_quantization", "levels-figure"),
    "roofline": ("09_benchmarking", "roofline-picture"),
    "report-card": ("11_capstone", "payoff-picture"),
}


def picture_of(lesson: str, cell_id: str) -> bytes:
    """Return the PNG that a cell of an English lesson shows."""
    notebook = read_notebook(NOTEBOOKS / "en" / f"{lesson}.ipynb")
    cell = next(cell for cell in notebook.cells if cell.id == cell_id)
    return base64.b64decode(images(cell)[0].data["image/png"])


def main() -> None:
    """Write all pictures."""
    PICTURES.mkdir(exist_ok=True)
    for name, source in SOURCES.items():
        path: Path = PICTURES / f"{name}.png"
        path.write_bytes(picture_of(*source))
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
