"""What a pasted text means: a feature, an SAE, a run, a link, or words. Pure: it looks at text only, never at a disk.

``understand`` reads the text, ``find_run`` looks its SAE up among the runs that are there, ``Index.rank`` finds
features by words in their labels and top tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd

from core.errors import nearest

MAX_CHARS = 2_000
FEATURE = re.compile(r"(?:feature|latent|index)?\s*#?\s*([+-]?[0-9]{1,18})", re.I)
LIST = re.compile(r"[0-9]{1,9}(?:\s*[,;\s]\s*[0-9]{1,9})+[,;\s]*")
SLASHED = re.compile(r"(?P<model>[\w.-]+)/(?P<source>[\w.-]+)(?:/(?P<feature>[0-9]{1,9}))?", re.A)
RELEASE_ID = re.compile(r"(?P<release>[\w./-]+)(?P<by>:|\s+)(?P<id>[\w./-]+)(?:\s+#?(?P<feature>[0-9]{1,9}))?", re.A)
WORD = re.compile(r"\w+", re.UNICODE)


@dataclass(frozen=True)
class Pasted:
    """``kind``: empty | feature | features | neuronpedia | sae | link | words. ``said`` echoes it in a sentence."""

    kind: str
    said: str
    text: str = ""
    feature: int | None = None
    features: tuple[int, ...] = ()
    release: str = ""  # kind sae: a SAELens release; neuronpedia: model
    id: str = ""  # kind sae: its id; neuronpedia: source
    run: str = ""


@dataclass(frozen=True)
class RunCard:
    """The names by which a run's SAE is known."""

    run: str
    release: str = ""
    sae_id: str = ""
    neuronpedia_id: str = ""
    path: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        pairs = (f"{self.release}:{self.sae_id}" if self.release else "", self.neuronpedia_id, self.path, self.run)
        return tuple(name for name in pairs if name)


def card_of(manifest: dict[str, Any], run: str) -> RunCard:
    sae, recipe = manifest.get("sae") or {}, (manifest.get("recipe") or {}).get("sae") or {}
    values = (
        sae.get("release") or recipe.get("release"),
        sae.get("sae_id") or recipe.get("id"),
        sae.get("neuronpedia_id"),
        recipe.get("path"),
    )
    return RunCard(run, *(str(v) if v else "" for v in values))


def understand(text: str, runs: Sequence[str] = ()) -> Pasted:
    """The meaning of a text; what is nothing else is words to search for."""
    text = " ".join(text[:MAX_CHARS].split())
    if not text:
        return Pasted("empty", "")
    if text in runs:
        return Pasted("link", f"the run {text}", text, run=text)
    for read in (_feature, _features, _url, _slashed, _release_id):
        if (found := read(text)) is not None:
            return found
    many = len(WORD.findall(text)) > 4
    said = "a text: features whose labels or top tokens share its words" if many else "words in labels and top tokens"
    return Pasted("words", said, text)


def _feature(text: str) -> Pasted | None:
    if not (match := FEATURE.fullmatch(text)):
        return None
    feature = int(match[1])
    return Pasted("feature", f"feature {feature}", text, feature=feature)


def _features(text: str) -> Pasted | None:
    if not LIST.fullmatch(text):
        return None
    features = tuple(dict.fromkeys(int(n) for n in re.findall("[0-9]+", text)))
    return Pasted("features", f"a list of {len(features)} features", text, features=features)


def _url(text: str) -> Pasted | None:
    if not re.match(r"(https?://|www\.|[\w.-]*neuronpedia\.org/)", text, re.I) or " " in text:
        return None
    try:
        url = urlsplit(text if "//" in text else f"https://{text}")
        query = parse_qs(url.query)
    except ValueError:
        return None
    if (url.hostname or "").removeprefix("www.") == "neuronpedia.org":
        path = re.sub(r"^(api/feature|embed)/", "", url.path.strip("/"))
        return _slashed(path) if SLASHED.fullmatch(path) else None
    if "run" in query:
        feature = query.get("feature", [""])[-1]
        number = int(feature) if re.fullmatch(r"[0-9]{1,9}", feature) else None
        run = query["run"][-1]
        return Pasted("link", f"a link to run {run}" + (f", feature {number}" if number is not None else ""), text,
                      feature=number, run=run)  # fmt: skip
    return None


def _slashed(text: str) -> Pasted | None:
    if not (match := SLASHED.fullmatch(text)):
        return None
    feature = int(match["feature"]) if match["feature"] else None
    which = f", feature {feature}" if feature is not None else ""
    return Pasted("neuronpedia", f"model {match['model']}, SAE {match['source']}{which}", text, feature=feature,
                  release=match["model"], id=match["source"])  # fmt: skip


def _release_id(text: str) -> Pasted | None:
    match = RELEASE_ID.fullmatch(text)
    if (
        not match
        or match["id"].startswith("//")
        or (match["by"] != ":" and not _like_release(match["release"], match["id"]))
    ):
        return None
    feature = int(match["feature"]) if match["feature"] else None
    which = f", feature {feature}" if feature is not None else ""
    return Pasted("sae", f"release {match['release']}, id {match['id']}{which}", text, feature=feature,
                  release=match["release"], id=match["id"])  # fmt: skip


def _like_release(release: str, sae_id: str) -> bool:
    """Two bare words are words; ids carry digits with separators (``layer_20/width_16k``, ``blocks.8.hook_x``)."""
    return "-" in release and bool(re.search(r"[0-9]", sae_id)) and bool(re.search(r"[._/]", sae_id))


def find_run(pasted: Pasted, cards: Sequence[RunCard]) -> tuple[list[str], list[str]]:
    """Names of the runs meant, and when there is none the nearest names by which runs here are known."""
    wanted = f"{pasted.release}{'/' if pasted.kind == 'neuronpedia' else ':'}{pasted.id}"
    if pasted.kind == "link":
        hits, wanted = [c.run for c in cards if c.run == pasted.run], pasted.run
    elif pasted.kind == "neuronpedia":
        hits = [c.run for c in cards if wanted == c.neuronpedia_id or pasted.text in (c.release, c.path)]
    else:
        hits = [c.run for c in cards if (c.release, c.sae_id) == (pasted.release, pasted.id)]
    if hits:
        return hits, []
    known = list(dict.fromkeys(name for c in cards for name in c.names))
    return [], nearest(wanted, known) or _alike(wanted, known)


def _alike(wanted: str, known: Sequence[str]) -> list[str]:
    """The three most alike names, however far, so that a miss never leaves the reader without a start."""
    return sorted(known, key=lambda name: -SequenceMatcher(None, wanted, name).ratio())[:3]


@dataclass(frozen=True)
class Index:
    """Words of labels and top tokens: entry ``word[i]`` belongs to row ``row[i]`` of the feature table."""

    word: np.ndarray  # [n_entries] object, sorted
    row: np.ndarray  # [n_entries] int32
    in_label: np.ndarray  # [n_entries] bool
    words: list[str] = field(repr=False)  # distinct, sorted

    @classmethod
    def of(cls, labels: Sequence[str], top_tokens: Sequence[Sequence[str]]) -> Index:
        entries: list[tuple[str, int, bool]] = []
        for row, (label, tokens) in enumerate(zip(labels, top_tokens, strict=True)):
            entries += [(w, row, True) for w in set(words_of(label))]
            entries += [(w, row, False) for w in {w for token in tokens for w in words_of(token)}]
        entries.sort()
        word, at, flag = zip(*entries, strict=True) if entries else ((), (), ())
        return cls(np.array(word, dtype=object), np.array(at, np.int32), np.array(flag, bool), sorted(set(word)))

    def rank(self, text: str, n_rows: int) -> tuple[np.ndarray, list[str]]:
        """Rows that share words with ``text``, best first, and for words nobody has the nearest words that exist.

        A word counts the more the fewer features have it (1 / number), twice in a label.
        """
        score, unknown = np.zeros(n_rows), []
        for word in dict.fromkeys(words_of(text)):
            lo, hi = np.searchsorted(self.word, word, "left"), np.searchsorted(self.word, word, "right")
            if lo == hi:
                unknown.append(word)
                continue
            np.add.at(score, self.row[lo:hi], (1 + self.in_label[lo:hi]) / (hi - lo))
        rows = np.argsort(-score, kind="stable")
        return rows[score[rows] > 0], self._near(unknown) if not score.any() else []

    def _near(self, unknown: Sequence[str]) -> list[str]:
        """Existing words that begin like an unknown one or are a slip of it; candidates are cut before difflib."""
        near: list[str] = []
        for word in unknown[:5]:
            candidates = [w for w in self.words if w[:1] == word[:1] and abs(len(w) - len(word)) <= 3][:2000]
            near += nearest(word, candidates, n=3)
        return list(dict.fromkeys(near))[:5]


def words_of(text: str) -> list[str]:
    """Lower-case words of a text; a text without letters (``#``, ``&``) is its own word."""
    words = WORD.findall(text.casefold())
    return words or ([text.strip()] if text.strip() else [])


def result_frame(frame: pd.DataFrame, rows: np.ndarray, limit: int = 15) -> pd.DataFrame:
    """The feature table's rows found, best first, at most ``limit``."""
    return frame.iloc[rows[:limit]]
