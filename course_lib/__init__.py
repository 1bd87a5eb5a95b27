"""Helpers of the course "Run an LLM on your own machine: from tokens to Mistral 7B"."""

from pathlib import Path

TINY_MODEL_PATH = Path(__file__).parent / "data" / "tiny-mistral-f16.gguf"
"""The model that comes with the course: made by `tools/tiny_mistral`, read by every lesson."""
