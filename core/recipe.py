"""A recipe: one small TOML file that says what to run. TOML <-> frozen dataclasses, every mistake at once."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import cattrs
from cattrs.errors import ForbiddenExtraKeysError
from cattrs.v import format_exception

from core.errors import PrismError, RecipeError, did_you_mean

T = TypeVar("T")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
CORPUS_SUFFIXES = (".txt", ".json", ".jsonl", ".csv", ".parquet")
LEAST = {
    "corpus.n_contexts": 1,
    "corpus.n_tokens": 1,
    "corpus.context_size": 2,
    "corpus.seed": 0,
    "encode.batch_tokens": 1,
    "fidelity.n_contexts": 1,
}


@dataclass(frozen=True)
class ModelRecipe:
    name: str  # hub id, TransformerLens name or folder
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"


@dataclass(frozen=True)
class SAERecipe:
    """Either ``release`` and ``id`` (SAELens) or ``path`` (a folder in SAELens format)."""

    release: str | None = None
    id: str | None = None
    path: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"


@dataclass(frozen=True)
class CorpusRecipe:
    """Either a hub ``dataset`` with ``split`` and ``column`` or a file ``path``; as many windows as asked for."""

    dataset: str | None = None
    config: str | None = None
    split: str = "train"
    column: str = "text"
    path: str | None = None
    n_contexts: int | None = None
    n_tokens: int | None = None
    context_size: int | None = None  # None: the SAE's
    seed: int = 0
    licence: str | None = None  # shown on pages; None: the dataset's own, else "not stated"
    annotation: str | None = None  # folder of what is known to be true of the text (core.annotation)
    replace: dict[str, str] = field(default_factory=dict)  # text replaced before tokenising


@dataclass(frozen=True)
class EncodeRecipe:
    device: str = "auto"  # auto | cpu | cuda | cuda:0 | mps
    store_dtype: Literal["float16", "float32"] = "float16"
    features: str | list[int] = "all"  # "all" | list | "random:2000"
    batch_tokens: int = 4096


@dataclass(frozen=True)
class FidelityRecipe:
    stop: bool = True  # False: report and go on
    n_contexts: int = 64


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the numbers of a run. ``analyses`` maps analysis keys to parameters, in order."""

    name: str
    model: ModelRecipe
    sae: SAERecipe
    corpus: CorpusRecipe
    encode: EncodeRecipe = EncodeRecipe()
    fidelity: FidelityRecipe = FidelityRecipe()
    analyses: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values with every default written out."""
        return dataclasses.asdict(self)

    def encode_dict(self) -> dict[str, Any]:
        """The part that decides the encoded tables: not the analyses, nor where the work is done."""
        values = self.as_dict()
        del values["analyses"], values["encode"]["device"], values["fidelity"]["stop"]
        return values

    def digest(self) -> str:
        """Hex sha256 of ``encode_dict``: two recipes with equal digests make equal tables."""
        return hashlib.sha256(json.dumps(self.encode_dict(), sort_keys=True).encode()).hexdigest()


def load_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe file; ``overrides`` are ``section.key=value`` strings (TOML values).

    Raises RecipeError with every mistake found, each with its path in the file. Paths stay as written, so
    that a run folder names no machine: ``located`` resolves them.
    """
    try:
        values = overrides_as_values(overrides or [], tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RecipeError(
            f"there is no recipe {str(path)!r}",
            "expected a TOML file",
            "write one (README, 'A recipe') or name one that ships: `prism recipes`",
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, OSError) as error:
        raise RecipeError(f"{path.name} is not readable as TOML", str(error), "mend the line named") from error
    return parse_recipe(values, path.name)


def parse_recipe(values: dict[str, Any], source: str = "recipe") -> Recipe:
    """A Recipe from plain values, or a RecipeError that lists all mistakes with their paths."""
    return structure(values, Recipe, source, RecipeError, _rule_breaks(values))


def stored_recipe(values: dict[str, Any]) -> Recipe:
    """The recipe of a manifest, where keys that were left out are written as None.

    RecipeError for a run that was imported: no recipe made it, and its model and SAE are not known to be here.
    """
    if "import" in values:
        raise RecipeError(
            f"run {values.get('name')!r} was imported, no recipe made it",
            "neither its model nor its SAE is here, so nothing new can be encoded or measured with it",
            "write a recipe that names them, then `prism run RECIPE.toml`; `prism show RUN` says how it was imported",
        )

    def given(section: Any) -> Any:
        return {k: given(v) for k, v in section.items() if v is not None} if isinstance(section, dict) else section

    return parse_recipe(given(values), "the stored recipe")


def structure(
    values: dict[str, Any], kind: type[T], source: str, error: type[PrismError], also: Sequence[str] = ()
) -> T:
    """Plain values as a frozen dataclass; all mistakes at once (``also`` are some found elsewhere), keys checked."""
    mistakes: list[str] = []
    try:
        made = _converter().structure(values, kind)
    except cattrs.BaseValidationError as failure:
        mistakes += _readable(failure)
    mistakes += also
    if mistakes:
        raise error(
            f"{source} has {len(mistakes)} mistake{'s' if len(mistakes) != 1 else ''}",
            "\n".join(f"  {m}" for m in mistakes),
            "mend the lines named; the README shows a whole one",
        )
    return made


def located(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with files and folders, which are written relative to its own folder, made absolute."""
    model, sae, corpus = recipe.model, recipe.sae, recipe.corpus
    if (folder / model.name).is_dir():
        model = dataclasses.replace(model, name=str((folder / model.name).resolve()))
    if sae.path:
        sae = dataclasses.replace(sae, path=str((folder / sae.path).resolve()))
    if corpus.path:
        corpus = dataclasses.replace(corpus, path=str((folder / corpus.path).resolve()))
    if corpus.annotation:
        corpus = dataclasses.replace(corpus, annotation=str((folder / corpus.annotation).resolve()))
    return dataclasses.replace(recipe, model=model, sae=sae, corpus=corpus)


def difference(old: dict[str, Any], new: dict[str, Any], path: str = "") -> list[str]:
    """Lines ``section.key: old -> new`` for every value that differs between two recipe dicts."""
    lines: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        a, b, here = old.get(key), new.get(key), f"{path}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            lines += difference(a, b, f"{here}.")
        elif a != b:
            lines.append(f"{here}: {a!r} -> {b!r}")
    return lines


def _converter() -> cattrs.Converter:
    """cattrs that refuses unknown keys and does not turn "12" into 12 or 12.5 into 12."""
    converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
    for kind in (int, str, bool, float):
        converter.register_structure_hook(kind, _strict)
    converter.register_structure_hook_func(lambda t: t == (str | list[int]), _features)
    converter.register_structure_hook_func(lambda t: get_origin(t) is Literal, _one_of)
    return converter


def _strict(value: Any, kind: Any) -> Any:
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise TypeError(f"expected {kind.__name__}, found {value!r}")
    return kind(value)


def _one_of(value: Any, kind: Any) -> Any:
    if value not in get_args(kind):
        raise TypeError(f"expected one of {', '.join(get_args(kind))}, found {value!r}")
    return value


def _features(value: Any, _: type) -> str | list[int]:
    """The ``features`` key: ``"all"``, ``"random:N"`` or a list of feature numbers."""
    if isinstance(value, str) and (value == "all" or re.fullmatch(r"random:[1-9]\d{0,8}", value)):
        return value
    if isinstance(value, list) and value and all(type(v) is int and v >= 0 for v in value):
        return sorted(set(value))
    raise TypeError(f'expected "all", "random:N" or a list of feature numbers, found {value!r}')


def _readable(error: cattrs.BaseValidationError) -> list[str]:
    """One line per mistake, with its path; a misspelt key names its nearest neighbour."""
    lines = cattrs.transform_error(error, path="recipe", format_exception=_format)
    return [line.replace("@ recipe.", "@ ").replace("@ recipe", "@ top level") for line in lines]


def _format(error: BaseException, kind: type | None) -> str:
    if isinstance(error, ForbiddenExtraKeysError):
        known = [f.name for f in dataclasses.fields(error.cl)]
        return "; ".join(
            f"unknown key {key!r}. {did_you_mean(key, known) or 'Known keys: ' + ', '.join(known) + '.'}"
            for key in sorted(error.extra_fields)
        )
    if isinstance(error, TypeError):
        return str(error)
    return str(format_exception(error, kind))


def _rule_breaks(values: dict[str, Any]) -> list[str]:
    """Rules between keys, which no type can hold; only looks at parts that have the right shape."""
    breaks: list[str] = []
    name, sae, corpus = values.get("name"), values.get("sae"), values.get("corpus")
    if isinstance(name, str) and not NAME.fullmatch(name):
        breaks.append(f"{name!r} cannot name a run: lower-case letters, digits, . _ - and at most 64 @ name")
    if isinstance(sae, dict) and sae.keys() & {"release", "id", "path"} not in ({"release", "id"}, {"path"}):
        breaks.append("give either release and id, or path @ sae")
    if isinstance(corpus, dict):
        breaks += _corpus_breaks(corpus)
    return breaks + _too_small(values)


def _too_small(values: dict[str, Any]) -> list[str]:
    breaks: list[str] = []
    for path, least in LEAST.items():
        section, key = path.split(".")
        part = values.get(section)
        found = part.get(key) if isinstance(part, dict) else None
        if type(found) is int and found < least:
            breaks.append(f"must be {least} or more, found {found} @ {path}")
    return breaks


def _corpus_breaks(corpus: dict[str, Any]) -> list[str]:
    breaks: list[str] = []
    if ("dataset" in corpus) == ("path" in corpus):
        breaks.append("give either dataset or path @ corpus")
    if ("n_contexts" in corpus) == ("n_tokens" in corpus):
        breaks.append("give either n_contexts or n_tokens @ corpus")
    path = corpus.get("path")
    if isinstance(path, str) and not path.lower().endswith(CORPUS_SUFFIXES):
        breaks.append(f"must end in {', '.join(CORPUS_SUFFIXES)}, found {path!r} @ corpus.path")
    return breaks


def overrides_as_values(texts: list[str], values: dict[str, Any] | None = None) -> dict[str, Any]:
    """``values`` (default: none) with every ``section.key=value`` text applied."""
    changed: dict[str, Any] = copy.deepcopy(values or {})
    for text in texts:
        _override(changed, text)
    return changed


def _override(values: dict[str, Any], text: str) -> None:
    """Apply one ``section.key=value``; a value that is no TOML is taken as a string."""
    path, equals, raw = text.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(f"--set {text!r} is not section.key=value", remedy="for example --set corpus.n_contexts=500")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise RecipeError(f"--set {text!r}: {key!r} is a value, not a section")
    values[keys[-1]] = value
