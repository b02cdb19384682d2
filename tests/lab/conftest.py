"""A planted language, a run of it and a model of it, made once."""

from __future__ import annotations

import numpy as np
import pytest

from core.lab.prompts import PromptTable
from core.store import Run
from tests.lab.fake_prompt_model import FakePromptModel, Language


@pytest.fixture(scope="session")
def language() -> Language:
    return Language(planted={5: "alpha", 6: "beta"})


@pytest.fixture(scope="session")
def run(language: Language, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return language.write(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def model(language: Language) -> FakePromptModel:
    return FakePromptModel(language)


def prompts(language: Language, n: int, word: str = "", share: float = 1.0, seed: int = 0, least: int = 8) -> list[str]:
    """Texts of 8 to 29 words, ``word`` among them with chance ``share``."""
    rng = np.random.default_rng([seed, 77])
    return [language.text(rng, int(rng.integers(least, 30)), word, share) for _ in range(n)]


def groups(a: list[str], b: list[str], labels: bool = False) -> PromptTable:
    words = ("1", "0") if labels else ("a", "b")
    said = [words[0]] * len(a) + [words[1]] * len(b)
    return PromptTable.of_texts([*a, *b], labels=said) if labels else PromptTable.of_texts([*a, *b], said)
