"""The `moshi` model's options as the settings give them: typed, checked, each with its default in one place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from offhook.speech.contract import Json
from offhook.speech.moshi.shape import SHAPES, Shape


@dataclass(frozen=True, slots=True)
class MoshiOptions:
    """What an operator can choose. Paths are theirs: no weights of this architecture come with Offhook."""

    weights: str = "files"
    """`files`: `lm`, `mimi` and `tokenizer` are given. `random`: the true shape with random numbers, which measures the
    cost of serving and says nothing of quality."""
    lm: str = ""
    """The language model's `.safetensors`: Moshi's (`model.safetensors`) or PersonaPlex's."""
    mimi: str = ""
    """The codec's `.safetensors` (`tokenizer-e351c8d8-checkpoint125.safetensors`)."""
    tokenizer: str = ""
    """The SentencePiece model of the text (`tokenizer_spm_32k_3.model`)."""
    prompt: str = "none"
    """`none`: a model without roles, such as Moshi. `personaplex`: voice and job are told as PersonaPlex takes them."""
    voices: str = ""
    """Folder of voice prompts, `<voice>.pt` or `<voice>.wav`; an agent's `voice` names one. For `personaplex`."""
    shape: str = "7b"
    """`7b`, or, with random weights, `small` for tests."""
    context: int = 0
    """Frames of 80 ms to look back on; 0: the model's own, 3000. Half of it halves the memory a slot takes."""
    device: str = "auto"
    """`cuda`, `cpu`, or `auto`: cuda where there is one."""
    threads: int = 0
    """Cores for a step on the CPU; 0: PyTorch's own choice."""
    temperature: float = 0.8
    """Of the audio tokens. 0: always the likeliest."""
    text_temperature: float = 0.7
    """Of the text tokens. 0: always the likeliest."""
    top_k: int = 250
    """Audio tokens to draw from."""
    top_k_text: int = 25
    """Text tokens to draw from."""
    cushion_ms: int = 20
    """Silence before each stretch of speech, to be queued in case a later step is late."""
    silence_s: float = 60.0
    """With nothing said by either side for so long the conversation fails. 0: never."""
    human_key: str = "0"
    """The key by which a caller asks for a person; empty: none. The model itself cannot hand over."""
    human_words: tuple[str, ...] = ()
    """Words of the agent's that mean it hands over to a person, such as `put you through`."""
    resolved_words: tuple[str, ...] = ()
    """Words of the agent's that end the conversation well, such as `goodbye`."""

    @classmethod
    def read(cls, options: Mapping[str, Json]) -> MoshiOptions:
        """Options as they come from the settings; lists of words as a list or parted by commas. Raises ValueError with
        a sentence that names the option that is wrong."""
        known = {field.name: getattr(cls(), field.name) for field in dataclasses.fields(cls)}
        values: dict[str, object] = {}
        for name, value in options.items():
            if name not in known:
                raise ValueError(f"the moshi model has no option {name}; it has {', '.join(known)}")
            values[name] = _checked(name, value, known[name])
        chosen = dataclasses.replace(cls(), **values)  # type: ignore[arg-type]  # _checked compared its type
        chosen._check()
        return chosen

    @property
    def chosen_shape(self) -> Shape:
        shape = SHAPES[self.shape]
        return shape.with_context(self.context) if self.context else shape

    def _check(self) -> None:
        for name, choices in (
            ("weights", ("files", "random")),
            ("prompt", ("none", "personaplex")),
            ("shape", tuple(SHAPES)),
            ("device", ("auto", "cuda", "cpu")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"the moshi model's {name} is {getattr(self, name)!r}; it can be {' or '.join(choices)}"
                )
        if self.context and not 16 <= self.context <= SHAPES[self.shape].context:
            raise ValueError(f"the moshi model's context is from 16 to {SHAPES[self.shape].context} frames")
        if len(self.human_key) > 1 or self.human_key not in "0123456789*#":
            raise ValueError(f"the moshi model's human_key is one key of a telephone or empty, not {self.human_key!r}")
        if self.cushion_ms > 400:
            raise ValueError(f"the moshi model's cushion_ms is at most 400, not {self.cushion_ms}")
        if self.weights == "random":
            given = [name for name in ("lm", "mimi") if getattr(self, name)]
            if given:
                raise ValueError(f"the moshi model's {given[0]} is given and weights is random: choose one of them")
        else:
            self._check_files()
        if self.tokenizer:
            _file("tokenizer", self.tokenizer)
        if self.voices and not Path(self.voices).expanduser().is_dir():
            raise ValueError(f"the moshi model's voices: there is no folder {self.voices}")

    def _check_files(self) -> None:
        if self.shape != "7b":
            raise ValueError("the moshi model's shape small has no weights; set weights to random, or shape to 7b")
        for name in ("lm", "mimi", "tokenizer"):
            path = getattr(self, name)
            if not path:
                raise ValueError(
                    f"the moshi model needs its option {name}: the path of a file of yours (no weights of this "
                    "architecture come with Offhook). To measure the cost of serving without any, set weights to random"
                )
            _file(name, path)
        for name in ("lm", "mimi"):
            if Path(getattr(self, name)).suffix != ".safetensors":
                raise ValueError(f"the moshi model's {name} must be a .safetensors file, not {getattr(self, name)}")


def _file(name: str, path: str) -> None:
    if not Path(path).expanduser().is_file():
        raise ValueError(f"the moshi model's {name}: there is no file {path}")


def _checked(name: str, value: Json, default: object) -> object:
    """`value` in the type of `default`. Raises ValueError."""
    if isinstance(default, tuple):
        words = value.split(",") if isinstance(value, str) else value
        if isinstance(words, (list, tuple)) and all(isinstance(word, str) for word in words):
            return tuple(stripped for word in words if (stripped := cast(str, word).strip().lower()))
    elif isinstance(default, float):
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6:
            return float(value)
    elif isinstance(default, int):
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1_000_000:
            return value
    elif isinstance(value, str):
        return value
    elif name == "human_key" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"the moshi model's {name} is {value!r}; it must be like {default!r}")
