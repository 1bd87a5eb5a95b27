"""The models that a learner can choose, each pinned to one file; and how to choose one.

Revisions, sizes and SHA-256 of the files were recorded by third parties. `download_model` refuses
a file that differs from its record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from course_lib.config import MISTRAL_7B_V02, MISTRAL_7B_V03, ModelConfig
from course_lib.memory_estimate import estimate_memory

TASKS = ("chat", "code", "reasoning", "tools")
"""What a model can be wanted for; ``"tools"`` means calling functions of a program."""
QUALITIES = ("fast", "good", "best")
"""``"fast"``: the smallest that will do. ``"best"``: the strongest that fits. ``"good"``: the
strongest that leaves a quarter of the memory to others."""
CHAT_CONTEXT = 4096
"""Tokens of context that a recommendation makes room for."""

_HOME_ADVANTAGE = 5
_GOOD_SHARE = 0.75


class ModelNotFoundError(FileNotFoundError):
    """There is no model of this name, or its file is not here yet."""


@dataclass(frozen=True)
class ModelEntry:
    """A model, and the one file of it that the course knows.

    Attributes
    ----------
    name : str
        Its key in `MODELS`.
    title : str
        As its makers call it.
    config : ModelConfig
    is_tied : bool
        Whether the file stores one table for both embedding and output.
    level : str
        How the file is quantized.
    repository, file_name, revision : str
        Where it lies on the Hugging Face Hub.
    size_bytes : int
    sha256 : str
    licence : str
    allows_commercial_use : bool
    languages : tuple of str
        Those that its makers name, as two-letter codes; English first.
    tasks : tuple of str
        Of `TASKS`.
    strength : int
        A rank among these models, from what their makers have published; higher is stronger.
        It is no measurement: on your own task the order may differ.
    home_language : str
        The language in which it is stronger than its rank says.
    released : str
        Year and month.
    replaced_by : str or None
        The entry that took its place.
    """

    name: str
    title: str
    config: ModelConfig
    is_tied: bool
    level: str
    repository: str
    file_name: str
    revision: str
    size_bytes: int
    sha256: str
    licence: str
    allows_commercial_use: bool
    languages: tuple[str, ...]
    tasks: tuple[str, ...]
    strength: int
    released: str
    home_language: str = "en"
    replaced_by: str | None = None

    @property
    def n_params(self) -> int:
        """Number of weights in the file.

        Examples
        --------
        >>> f"{MODELS['mistral-7b-instruct'].n_params:,}"
        '7,248,023,552'
        """
        n_shared = self.config.vocab_size * self.config.dim if self.is_tied else 0
        return self.config.n_params - n_shared

    def memory_bytes(self, n_ctx: int = CHAT_CONTEXT) -> int:
        """Bytes of memory that it takes with a context of `n_ctx` tokens."""
        return estimate_memory(self.config, self.level, n_ctx=n_ctx, tied=self.is_tied).total

    def strength_in(self, language: str) -> int:
        """Its rank for texts in a language."""
        return self.strength + _HOME_ADVANTAGE * (language == self.home_language != "en")


class EarlierModel(NamedTuple):
    """A model that made history, and what one would take today."""

    title: str
    n_params: str
    licence: str
    released: str
    today: str


class Recommendation(NamedTuple):
    """A model, or None when none fits; and why."""

    entry: ModelEntry | None
    reason: str


def _config(
    dim: int,
    n_layers: int,
    n_heads: int,
    head_dim: int,
    hidden_dim: int,
    vocab_size: int,
    max_seq_len: int,
    rope_theta: float = 1e6,
    norm_eps: float = 1e-6,
) -> ModelConfig:
    """Sizes of a model with eight key-value heads, as all of these have."""
    return ModelConfig(
        dim=dim,
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=8,
        head_dim=head_dim,
        hidden_dim=hidden_dim,
        vocab_size=vocab_size,
        norm_eps=norm_eps,
        rope_theta=rope_theta,
        sliding_window=None,
        max_seq_len=max_seq_len,
    )


_QWEN3_LANGUAGES = ("en", "ko", "zh", "ja", "de", "fr", "es", "it", "pt", "ru", "ar")
_MINISTRAL_LANGUAGES = ("en", "ko", "fr", "es", "de", "it", "pt", "nl", "zh", "ja", "ar")
_LLAMA_LANGUAGES = ("en", "de", "fr", "it", "pt", "hi", "es", "th")
_APACHE = "Apache-2.0"
_LLAMA_LICENCE = "Llama 3.2 Community License"
_LLAMA_1_LICENCE = "research only, as LLaMA that it came from"

_ENTRIES = (
    ModelEntry(
        name="mistral-7b-instruct",
        title="Mistral 7B Instruct v0.3",
        config=MISTRAL_7B_V03,
        is_tied=False,
        level="Q4_K_M",
        repository="bartowski/Mistral-7B-Instruct-v0.3-GGUF",
        file_name="Mistral-7B-Instruct-v0.3-Q4_K_M.gguf",
        revision="61fd4167fff3ab01ee1cfe0da183fa27a944db48",
        size_bytes=4_372_812_000,
        sha256="1270d22c0fbb3d092fb725d4d96c457b7b687a5f5a715abe1e818da303e562b6",
        licence=_APACHE,
        allows_commercial_use=True,
        languages=("en",),
        tasks=("chat", "code", "tools"),
        strength=6,
        released="2024-05",
    ),
    ModelEntry(
        name="mistral-7b-instruct-v0.2",
        title="Mistral 7B Instruct v0.2",
        config=MISTRAL_7B_V02,
        is_tied=False,
        level="Q4_K_M",
        repository="TheBloke/Mistral-7B-Instruct-v0.2-GGUF",
        file_name="mistral-7b-instruct-v0.2.Q4_K_M.gguf",
        revision="3a6fbf4a41a1d52e415a4958cde6856d34b2db93",
        size_bytes=4_368_439_584,
        sha256="3e0039fd0273fcbebb49228943b17831aadd55cbcbf56f0af00499be2040ccf9",
        licence=_APACHE,
        allows_commercial_use=True,
        languages=("en",),
        tasks=("chat", "code"),
        strength=4,
        released="2023-12",
        replaced_by="mistral-7b-instruct",
    ),
    ModelEntry(
        name="qwen3-0.6b",
        title="Qwen3 0.6B",
        config=_config(1024, 28, 16, 128, 3072, 151_936, 40_960),
        is_tied=True,
        level="Q8_0",
        repository="Qwen/Qwen3-0.6B-GGUF",
        file_name="Qwen3-0.6B-Q8_0.gguf",
        revision="23749fefcc72300e3a2ad315e1317431b06b590a",
        size_bytes=639_446_688,
        sha256="9465e63a22add5354d9bb4b99e90117043c7124007664907259bd16d043bb031",
        licence=_APACHE,
        allows_commercial_use=True,
        languages=_QWEN3_LANGUAGES,
        tasks=("chat", "reasoning"),
        strength=1,
        released="2025-04",
    ),
    ModelEntry(
        name="qwen3-1.7b",
        title="Qwen3 1.7B",
        config=_config(2048, 28, 16, 128, 6144, 151_936, 40_960),
        is_tied=True,
        level="Q8_0",
        repository="Qwen/Qwen3-1.7B-GGUF",
        file_name="Qwen3-1.7B-Q8_0.gguf",
        revision="90862c4b9d2787eaed51d12237eafdfe7c5f6077",
        size_bytes=1_834_426_016,
        sha256="061b54daade076b5d3362dac252678d17da8c68f07560be70818cace6590cb1a",
        licence=_APACHE,
        allows_commercial_use=True,
        languages=_QWEN3_LANGUAGES,
        tasks=("chat", "code", "reasoning", "tools"),
        strength=3,
        released="2025-04",
    ),
    ModelEntry(
        name="qwen3-4b",
        title="Qwen3 4B",
        config=_config(2560, 36, 32, 128, 9728, 151_936, 40_960),
        is_tied=True,
        level="Q4_K_M",
        repository="Qwen/Qwen3-4B-GGUF",
        file_name="Qwen3-4B-Q4_K_M.gguf",
        revision="bc640142c66e1fdd12af0bd68f40445458f3869b",
        size_bytes=2_497_280_256,
        sha256="7485fe6f11af29433bc51cab58009521f205840f5b4ae3a32fa7f92e8534fdf5",
        licence=_APACHE,
        allows_commercial_use=True,
        languages=_QWEN3_LANGUAGES,
        tasks=("chat", "code", "reasoning", "tools"),
        strength=9,
        released="2025-04",
    ),
    ModelEntry(
        name="ministral-3-3b",
        title="Ministral 3 3B Instruct",
        config=_config(3072, 26, 32, 128, 9216, 131_072, 262_144, norm_eps=1e-5),
        is_tied=True,
        level="Q4_K_M",
        repository="mistralai/Ministral-3-3B-Instruct-2512-GGUF",
        file_name="Ministral-3-3B-Instruct-2512-Q4_K_M.gguf",
        revision="eb599d408350ea2bb60452cb86be7c7b2fc28227",
        size_bytes=2_147_023_008,
        sha256="9ed150d4367e68df0ac8e1540f6ddc65b42d0ee26378329d1ecbca60f93fc5f8",
        licence=_APACHE,
        allows_commercial_use=True,
        languages=_MINISTRAL_LANGUAGES,
        tasks=("chat", "code", "tools"),
        strength=8,
        released="2025-12",
    ),
    ModelEntry(
        name="llama-3.2-1b",
        title="Llama 3.2 1B Instruct",
        config=_config(2048, 16, 32, 64, 8192, 128_256, 131_072, rope_theta=5e5, norm_eps=1e-5),
        is_tied=True,
        level="Q4_K_M",
        repository="bartowski/Llama-3.2-1B-Instruct-GGUF",
        file_name="Llama-3.2-1B-Instruct-Q4_K_M.gguf",
        revision="067b946cf014b7c697f3654f621d577a3e3afd1c",
        size_bytes=807_694_464,
        sha256="6f85a640a97cf2bf5b8e764087b1e83da0fdb51d7c9fab7d0fece9385611df83",
        licence=_LLAMA_LICENCE,
        allows_commercial_use=True,
        languages=_LLAMA_LANGUAGES,
        tasks=("chat",),
        strength=2,
        released="2024-09",
    ),
    ModelEntry(
        name="llama-3.2-3b",
        title="Llama 3.2 3B Instruct",
        config=_config(3072, 28, 24, 128, 8192, 128_256, 131_072, rope_theta=5e5, norm_eps=1e-5),
        is_tied=True,
        level="Q4_K_M",
        repository="bartowski/Llama-3.2-3B-Instruct-GGUF",
        file_name="Llama-3.2-3B-Instruct-Q4_K_M.gguf",
        revision="5ab33fa94d1d04e903623ae72c95d1696f09f9e8",
        size_bytes=2_019_377_696,
        sha256="6c1a2b41161032677be168d354123594c0e6e67d2b9227c84f296ad037c728ff",
        licence=_LLAMA_LICENCE,
        allows_commercial_use=True,
        languages=_LLAMA_LANGUAGES,
        tasks=("chat", "tools"),
        strength=7,
        released="2024-09",
    ),
    ModelEntry(
        name="exaone-3.5-2.4b",
        title="EXAONE 3.5 2.4B Instruct",
        config=_config(2560, 30, 32, 80, 7168, 102_400, 32_768, norm_eps=1e-5),
        is_tied=False,
        level="Q4_K_M",
        repository="LGAI-EXAONE/EXAONE-3.5-2.4B-Instruct-GGUF",
        file_name="EXAONE-3.5-2.4B-Instruct-Q4_K_M.gguf",
        revision="142acae803a41c206e8d0fa978c6102c748911bb",
        size_bytes=1_644_918_272,
        sha256="1660a3794acc33437137faab5cb3fb2b2c4191d0a4ec991d4c31a7197cb2cdbf",
        licence="EXAONE AI Model License 1.1 - NC (research only)",
        allows_commercial_use=False,
        languages=("en", "ko"),
        tasks=("chat",),
        strength=5,
        released="2024-12",
        home_language="ko",
    ),
)

MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}
"""Every model that `download_model` and `LocalLLM` know by name."""

EARLIER_MODELS = (
    EarlierModel("Llama 2", "7B, 13B, 70B", "Llama 2 licence", "2023-07", "llama-3.2-3b, qwen3-4b"),
    EarlierModel("Vicuna", "13B", _LLAMA_1_LICENCE, "2023-03", "qwen3-4b"),
    EarlierModel("WizardLM", "7B, 13B", _LLAMA_1_LICENCE, "2023-04", "qwen3-4b"),
    EarlierModel("Falcon", "7B, 40B", _APACHE, "2023-05", "ministral-3-3b, qwen3-4b"),
    EarlierModel("Phi-2", "2.7B", "MIT", "2023-12", "qwen3-1.7b; Phi-4-mini (MIT)"),
    EarlierModel("Mixtral 8x7B", "47B, of which 13B at a time", _APACHE, "2023-12", "qwen3-4b"),
)
"""Models that guides still name; larger than what one needs today for the same work."""


def select_model(
    memory_gb: float,
    *,
    commercial_use: bool = False,
    language: str = "en",
    task: str = "chat",
    quality: str = "good",
) -> Recommendation:
    """Choose a model that fits, is allowed, and speaks the language.

    Parameters
    ----------
    memory_gb : float
        What the model may take, in billions of bytes: the machine's memory less what everything
        else needs.
    commercial_use : bool
        Whether it must be licensed for that.
    language : str
        A two-letter code, such as ``"ko"``.
    task : str
        Of `TASKS`.
    quality : str
        Of `QUALITIES`.

    Returns
    -------
    Recommendation
        Its `entry` is None when nothing fits; the `reason` then says what would.

    Raises
    ------
    ValueError
        For an unknown task or quality, or a memory that makes no sense.

    Examples
    --------
    >>> select_model(8, language="ko", commercial_use=True).entry.name
    'qwen3-4b'
    >>> print(select_model(0.5).reason)
    Nothing fits into 0.5 GB. The smallest would be llama-3.2-1b, which takes 1.2 GB.
    """
    _require_choice("task", task, TASKS)
    _require_choice("quality", quality, QUALITIES)
    if not 0 <= memory_gb < float("inf"):
        raise ValueError(f"memory_gb={memory_gb!r} is not a number of gigabytes.")
    wanted = [x for x in MODELS.values() if language in x.languages and task in x.tasks]
    allowed = [x for x in wanted if x.allows_commercial_use or not commercial_use]
    if not allowed:
        return Recommendation(None, _nothing_suits(language, task, bool(wanted)))
    fitting = [x for x in allowed if x.memory_bytes() <= memory_gb * 1e9]
    if not fitting:
        smallest = min(allowed, key=ModelEntry.memory_bytes)
        return Recommendation(
            None,
            f"Nothing fits into {memory_gb:g} GB. The smallest would be {smallest.name}, which "
            f"takes {_gb(smallest.memory_bytes())}.",
        )
    entry = _best(fitting, memory_gb, language, quality)
    return Recommendation(entry, _reason(entry, memory_gb, commercial_use, language, quality))


def find_entry(name: str) -> ModelEntry:
    """Look a model up by its name.

    Raises
    ------
    ModelNotFoundError
        With the names that there are.
    """
    if name not in MODELS:
        raise ModelNotFoundError(f"no model named {name!r}. Choose one of: {', '.join(MODELS)}.")
    return MODELS[name]


def _best(fitting: list[ModelEntry], memory_gb: float, language: str, quality: str) -> ModelEntry:
    if quality == "fast":
        return min(fitting, key=ModelEntry.memory_bytes)
    if quality == "good":
        roomy = [x for x in fitting if x.memory_bytes() <= memory_gb * 1e9 * _GOOD_SHARE]
        fitting = roomy or [min(fitting, key=ModelEntry.memory_bytes)]
    return max(fitting, key=lambda entry: entry.strength_in(language))


def _reason(
    entry: ModelEntry, memory_gb: float, commercial_use: bool, language: str, quality: str
) -> str:
    choices = {
        "fast": "the smallest that will do",
        "good": "the strongest that leaves a quarter of the memory free, or else the smallest",
        "best": "the strongest that fits, by what the makers report",
    }
    licence = f"licence {entry.licence}" + (", commercial use allowed" if commercial_use else "")
    return (
        f"{entry.title}: {choices[quality]}. It takes {_gb(entry.memory_bytes())} of your "
        f"{memory_gb:g} GB with a context of {CHAT_CONTEXT:,} tokens; speaks {language!r}; "
        f"{licence}."
    )


def _nothing_suits(language: str, task: str, is_known: bool) -> str:
    if is_known:
        return (
            f"No model here speaks {language!r}, does {task!r} and may be used commercially. "
            "Without commercial use there would be one."
        )
    languages = sorted({code for entry in MODELS.values() for code in entry.languages})
    return (
        f"No model here speaks {language!r} and does {task!r}. Languages: {', '.join(languages)}."
    )


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is unknown. Choose one of: {', '.join(choices)}.")


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
