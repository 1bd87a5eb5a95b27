"""Make up names, so many that a model must copy them and cannot know them by heart."""

from __future__ import annotations

import numpy as np

# Syllables that Korean given names are made of, and many that they are not.
KOREAN_SYLLABLES = (
    "가간강건경고관광교구국권규균근기길나난남노누다단달담대도동두라란람래려련로록루룡류름리린림"
    "마만말명모목무문미민바박반배백범벼별병보복봄봉부비빈빛사산새샘서석선설섬성세소솔송수순숲슬승시식신심"
    "아안애양언엄여연열영예오옥온완용우운원월유윤율은을음의이인일임자잔장재전정제조종주준중지진찬창채천철초추춘"
    "치칠카코타탄태토통파편평표풀품하학한해향현형혜호홍화환황효훈휘흔희히힘"
)
ONSETS = ("b", "br", "c", "d", "dr", "f", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "r", "s", "st", "t", "tr", "v", "w", "z")  # fmt: skip  # noqa: E501
NUCLEI = ("a", "e", "i", "o", "u", "ai", "ee", "io", "ou")
CODAS = ("", "", "", "l", "m", "n", "r", "s", "th", "x", "nd", "ck")
RARE_SHARE = 0.04  # names of any syllable at all, most of them written in byte tokens


def draw_name(rng: np.random.Generator, language: str) -> str:
    """Draw a made-up name of one to three syllables.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> len(draw_name(rng, "ko")) in (2, 3), draw_name(rng, "en").istitle()
    (True, True)
    """
    if language == "ko":
        return _korean_name(rng)
    n_syllables = int(rng.choice([1, 2, 3], p=[0.2, 0.6, 0.2]))
    return "".join(_english_syllable(rng) for _ in range(n_syllables)).capitalize()


def _korean_name(rng: np.random.Generator) -> str:
    n_syllables = int(rng.choice([2, 3], p=[0.6, 0.4]))
    if rng.random() < RARE_SHARE:
        return "".join(chr(ord("가") + int(rng.integers(11172))) for _ in range(n_syllables))
    chosen = rng.integers(len(KOREAN_SYLLABLES), size=n_syllables)
    return "".join(KOREAN_SYLLABLES[i] for i in chosen)


def _english_syllable(rng: np.random.Generator) -> str:
    onset, nucleus, coda = (part[int(rng.integers(len(part)))] for part in (ONSETS, NUCLEI, CODAS))
    return onset + nucleus + coda
