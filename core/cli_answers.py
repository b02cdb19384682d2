"""What the command line does with an answer of the prompt lab: write its table, keep it in the run, print it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core import console
from core.analyses.prompt_model import PromptModel
from core.errors import InputError, MachineError
from core.lab.prompt_sets import check_free, save_set
from core.lab.prompts import PromptTable
from core.lab.result import LabResult
from core.settings import Settings
from core.store import Store
from core.table_files import csv_bytes, sheet_csv_bytes

MAIN = {"test": "cells", "find": "found", "contrast": "contrasted", "account": "account_texts", "decode": "decoded"}
"""The table that ``--out`` writes where none is named."""
PRINTED = {
    "test": ("tested", ("feature", "label", "n_fired", "n_prompts", "share", "token_share", "run_density", "act_max")),
    "find": ("found", ("feature", "label", "share", "base_share", "lift", "lift_lo", "auroc", "q")),
    "contrast": ("contrasted", ("feature", "label", "share_a", "share_b", "auroc", "held_out_auroc", "q")),
    "account": ("account_rates", ("level", "measure", "value", "value_lo", "value_hi", "chance", "by_length")),
    "decode": ("decoded", ("sign", "str_token", "logit", "beyond_random")),
}  # fmt: skip


class Job:
    """Where an answer goes; what would fail at the end fails before the model is loaded."""

    def __init__(
        self, run: str, cache_dir: Path | None, task: str, out: Path | None, table: str | None, spreadsheet: bool,
        save: str | None, replace: bool, top: int, as_json: bool,
    ) -> None:  # fmt: skip
        self.run = Store((cache_dir or Settings.from_env().cache_dir).resolve()).open_run(run)
        self.task, self.out, self.table, self.spreadsheet = task, out, table, spreadsheet
        self.save, self.replace, self.top, self.as_json = save, replace, top, as_json
        if out is not None and out.suffix not in (".csv", ".parquet"):
            raise InputError(
                f"cannot write {out.name!r}", "the ending decides: .csv or .parquet", f"--out {out.stem}.csv"
            )
        if save is not None:
            check_free(self.run, save, replace)

    def finish(self, result: LabResult, model: PromptModel, asked: PromptTable) -> None:
        """Write, keep and print."""
        where: dict[str, Any] = {}
        if self.out is not None:
            write_bytes(self.out, self._bytes(result, self._chosen(result)))
            where["written to"] = self.out
        if self.save is not None:
            save_set(self.run, self.save, result, model.about, replace=self.replace)
            where["prompt set"] = self.save
        name, columns = PRINTED[self.task]
        rows = result.table(name)[list(columns)].head(self.top)
        if self.as_json:
            console.print_json({
                "run": self.run.name, "task": result.task, "params": result.params, "summary": result.summary,
                "notes": list(result.notes), "left_out": {w: n for w, (n, _) in asked.left_out.items()},
                "tables": {key: len(frame) for key, frame in result.frames.items()},
                name: _records(result.table(name).head(self.top)), "model": model.about,
                **{key.replace(" ", "_"): str(value) for key, value in where.items()},
            })  # fmt: skip
            return
        for note in result.notes:
            console.err.print(note, markup=False)
        console.print_table(f"{name.replace('_', ' ')} ({len(rows)} of {len(result.table(name))})", _printed(rows))
        if "continuations" in result.frames:
            written = result.table("continuations")[["prompt", "kind", "strength", "text", "mean_plain_log_prob"]]
            console.print_table("continuations", _printed(written.assign(text=written["text"].map(repr))))
        rates = self.task == "account"  # they were printed as a table
        shown = {k: v for k, v in result.summary.items() if not rates or k.startswith("n_")}
        summary = {key.replace("_", " "): _text(value) for key, value in shown.items()}
        console.print_pairs("", summary | where)

    def _chosen(self, result: LabResult) -> pd.DataFrame:
        """The table asked for, prompts with their text."""
        name = self.table or ("continuations" if "continuations" in result.frames else MAIN[self.task])
        if name not in result.frames:
            raise InputError(
                f"this answer has no table {name[:60]!r}", f"it has {', '.join(result.frames)}", "--table ..."
            )
        frame = result.table(name)
        if "prompt" in frame and "text" not in frame and "prompts" in result.frames:
            said = result.table("prompts").set_index("prompt")[["text", "group", "label"]]
            said = said.rename(columns={"label": "prompt_label"})
            frame = frame.join(said, on="prompt")
        return frame

    def _bytes(self, result: LabResult, frame: pd.DataFrame) -> bytes:
        assert self.out is not None
        if self.out.suffix == ".csv":
            return sheet_csv_bytes(frame) if self.spreadsheet else csv_bytes(frame)
        sink = pa.BufferOutputStream()
        pq.write_table(
            pa.Table.from_pandas(frame, preserve_index=False), sink, compression="zstd", write_page_checksum=True
        )
        return bytes(sink.getvalue())


def write_bytes(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise MachineError(f"could not write {path}", str(error), "choose another --out") from error


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows for JSON: what is absent is null."""
    return [{str(k): _plain(v) for k, v in row.items()} for row in rows.to_dict("records")]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value.tolist()]
    return None if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)) else value


def _printed(rows: pd.DataFrame) -> list[dict[str, str]]:
    return [{str(k): _text(v) for k, v in row.items()} for row in rows.to_dict("records")]


def _text(value: Any) -> str:
    """Three digits; empty for what is absent."""
    plain = _plain(value)
    return "" if plain is None else f"{plain:.3g}" if isinstance(plain, float) else str(plain)
