"""Training of the demo's SAE through SAELens' own runner; saved in SAELens' inference format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sae_lens import (
    BatchTopKTrainingSAEConfig,
    LanguageModelSAERunnerConfig,
    LanguageModelSAETrainingRunner,
    LoggingConfig,
    MatryoshkaBatchTopKTrainingSAEConfig,
)
from transformers import AutoConfig

from core.engine.train import Progress, silent


@dataclass(frozen=True)
class SAETrainingConfig:
    """A BatchTopK SAE, or a Matryoshka one where ``matryoshka_widths`` is given, and how it is trained.

    ``n_tokens`` counts activations seen, special tokens left out; ``k`` is the mean number of features per token.
    ``dead_window`` is in steps: a feature silent that long is pulled back by the auxiliary loss, whose weight is
    high because a weak one leaves a quarter of the features dead on so small a model.
    """

    hook_name: str = "model.layers.2"
    d_sae: int = 768
    k: float = 8.0
    matryoshka_widths: tuple[int, ...] = ()
    n_tokens: int = 4_000_000
    batch_tokens: int = 1024
    lr: float = 2e-3
    lr_decay_share: float = 0.3
    dead_window: int = 60
    aux_coefficient: float = 4.0
    context_size: int = 128
    special_ids: tuple[int, ...] = (0, 1, 2, 3)
    dataset_path: str = "planted-world"
    model_name: str = ""
    seed: int = 0


def sae_config(config: SAETrainingConfig, d_in: int) -> BatchTopKTrainingSAEConfig:
    """SAELens' own training configuration of the SAE."""
    common: dict[str, Any] = {
        "d_in": d_in,
        "d_sae": config.d_sae,
        "k": config.k,
        "aux_loss_coefficient": config.aux_coefficient,
        "device": "cpu",
        "dtype": "float32",
    }
    if config.matryoshka_widths:
        widths = [*config.matryoshka_widths, config.d_sae]
        return MatryoshkaBatchTopKTrainingSAEConfig(matryoshka_widths=widths, **common)
    return BatchTopKTrainingSAEConfig(**common)


def runner_config(config: SAETrainingConfig, model_folder: Path, out: Path) -> LanguageModelSAERunnerConfig[Any]:
    """The runner's configuration: one row is one context, nothing is concatenated, special tokens left out."""
    n_steps = config.n_tokens // config.batch_tokens
    return LanguageModelSAERunnerConfig(
        sae=sae_config(config, AutoConfig.from_pretrained(model_folder).hidden_size),
        model_name=str(model_folder),
        model_class_name="AutoModelForCausalLM",
        hook_name=config.hook_name,
        dataset_path=config.dataset_path,
        is_dataset_tokenized=True,
        streaming=False,
        context_size=config.context_size,
        prepend_bos=True,
        exclude_special_tokens=list(config.special_ids),
        training_tokens=config.n_tokens,
        train_batch_size_tokens=config.batch_tokens,
        store_batch_size_prompts=32,
        n_batches_in_buffer=512,
        lr=config.lr,
        lr_warm_up_steps=min(50, n_steps // 10),
        lr_decay_steps=int(config.lr_decay_share * n_steps),
        dead_feature_window=config.dead_window,
        feature_sampling_window=max(2, n_steps),
        device="cpu",
        seed=config.seed,
        logger=LoggingConfig(log_to_wandb=False),
        n_checkpoints=0,
        checkpoint_path=None,
        output_path=str(out),
        verbose=False,
    )


class _Counted:
    """Passes batches on and reports how many tokens went by."""

    def __init__(self, batches: Iterator[torch.Tensor], report: Callable[[int], None]) -> None:
        self.batches, self.report, self.seen = batches, report, 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> torch.Tensor:
        batch = next(self.batches)
        self.seen += len(batch)
        self.report(self.seen)
        return batch


class _Runner(LanguageModelSAETrainingRunner):
    """SAELens' runner without its signal handlers, which only work on a main thread, and with progress."""

    report: Callable[[int], None] = staticmethod(lambda seen: None)

    def run_trainer_with_interruption_handling(self, trainer: Any) -> Any:
        trainer.data_provider = _Counted(iter(trainer.data_provider), self.report)
        return trainer.fit()


def train_sae(
    model_folder: Path,
    rows: Sequence[Sequence[int]],
    config: SAETrainingConfig,
    out: Path,
    progress: Progress = silent,
) -> None:
    """Train on the residuals of ``rows`` at ``hook_name`` and write ``cfg.json`` and ``sae_weights.safetensors``.

    ``rows`` are contexts of exactly ``context_size`` ids; they are read again from the start when they run out.
    The L0 and dead-feature counts that SAELens writes describe a window of training, not the saved SAE, so they are
    removed from the metadata: measure them on held-out text.
    """
    torch.manual_seed(config.seed)
    data = Dataset.from_dict({"input_ids": [list(map(int, row)) for row in rows]})
    runner = _Runner(runner_config(config, model_folder, out), override_dataset=data)
    runner.report = _every(100 * config.batch_tokens, config.n_tokens, progress)
    runner.run()
    _finish_metadata(out, config, model_folder)
    for extra in ("runner_cfg.json", "sparsity.safetensors"):
        (out / extra).unlink(missing_ok=True)


def _every(step: int, total: int, progress: Progress) -> Callable[[int], None]:
    """A counter that calls ``progress`` about every ``step`` tokens and at the end."""
    last = 0

    def report(seen: int) -> None:
        nonlocal last
        if seen - last >= step or seen >= total:
            last = seen
            progress("sae", min(seen, total), total, {})

    return report


def _finish_metadata(out: Path, config: SAETrainingConfig, model_folder: Path) -> None:
    path = out / "cfg.json"
    cfg = json.loads(path.read_text())
    for wrong in ("l0", "num_dead_features"):
        cfg["metadata"].pop(wrong, None)
    cfg["metadata"]["model_name"] = config.model_name or str(model_folder)
    cfg["metadata"]["context_size"] = config.context_size
    path.write_text(json.dumps(cfg, indent=2, sort_keys=True) + "\n")
