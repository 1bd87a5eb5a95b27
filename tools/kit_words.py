"""What a kit says to whoever opens it, in English and in Korean."""

from __future__ import annotations

from collections.abc import Sequence

_TEXT = """\
Run an LLM on your own machine: a kit that needs no network
===========================================================

For: {target}
Models: {models}
On Debian and Ubuntu the packages make and python3-venv have to be there.
No compiler is needed.

1. Copy this whole folder to your disk, and open a terminal in it.

2. Is the copy whole? No line may end in FAILED:

       sha256sum -c --quiet SHA256SUMS           (on a Mac: shasum -a 256 -c SHA256SUMS)

   Do this before you work in the folder: afterwards your own work differs.

3. Open the lessons:

       cd course
       make lab                                  (in Korean: make lab EDITION=ko)

   `make test` runs all tests, `make doctor` looks at your machine.

You have the course already? In its folder: make lab KIT=/path/to/this/folder
Install from the network in spite of the kit: make lab KIT=


내 컴퓨터에서 LLM 실행하기: 인터넷 없이 쓰는 꾸러미
===================================================

대상: {target}
모델: {models_ko}
Debian이나 Ubuntu라면 make와 python3-venv 패키지가 깔려 있어야 합니다.
컴파일러는 없어도 됩니다.

1. 이 폴더를 통째로 디스크에 복사하고, 그 폴더에서 터미널을 여세요.

2. 제대로 복사되었는지 확인하세요. FAILED로 끝나는 줄이 없어야 합니다.

       sha256sum -c --quiet SHA256SUMS           (Mac에서는 shasum -a 256 -c SHA256SUMS)

   폴더에서 작업을 시작하기 전에 확인하세요. 작업한 뒤에는 바뀐 파일이 다르다고 나옵니다.

3. 수업을 여세요.

       cd course
       make lab EDITION=ko                       (영어판은 make lab)

   `make test`는 전체 테스트를 실행하고, `make doctor`는 컴퓨터를 살펴봅니다.

강의를 이미 받아 두었다면 그 폴더에서 make lab EDITION=ko KIT=/이/폴더의/경로 를 실행하세요.
꾸러미를 쓰지 않고 인터넷에서 설치하려면 make lab EDITION=ko KIT= 을 실행하세요.
"""


def readme(target: str, models: Sequence[str]) -> str:
    """README.txt of a kit.

    Parameters
    ----------
    target : str
        System and Python, in words.
    models : sequence of str
        Names of the models in it.

    Examples
    --------
    >>> "Models: qwen3-0.6b" in readme("Linux (x86_64), Python 3.11", ["qwen3-0.6b"])
    True
    """
    names = ", ".join(models)
    return _TEXT.format(
        target=target,
        models=names or "tiny-mistral, which is part of the course",
        models_ko=names or "강의에 들어 있는 tiny-mistral",
    )
