"""The only place that imports torch, transformer_lens, sae_lens, transformers and datasets.

Torch tensors never leave this package: numpy arrays, frames and frozen dataclasses cross its border.
"""
