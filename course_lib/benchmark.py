"""Measure a model: its speed, how well it predicts a text, how many questions it answers.

Each kind of measurement has a module of its own; here they are together.
"""

from course_lib.likelihood import kl_divergence, perplexity
from course_lib.quality_measurement import (
    QualityCase,
    QualityScores,
    load_quality_cases,
    measure_quality,
)
from course_lib.quantization_comparison import (
    QuantizationComparison,
    QuantizationRow,
    compare_quantizations,
)
from course_lib.speed_measurement import SpeedReport, Spread, measure_speed
from course_lib.speed_prediction import PredictionError, SpeedPrediction, predict_speed

__all__ = [
    "PredictionError",
    "QualityCase",
    "QualityScores",
    "QuantizationComparison",
    "QuantizationRow",
    "SpeedPrediction",
    "SpeedReport",
    "Spread",
    "compare_quantizations",
    "kl_divergence",
    "load_quality_cases",
    "measure_quality",
    "measure_speed",
    "perplexity",
    "predict_speed",
]
