"""The only place that imports torch, transformer_lens, sae_lens, transformers and datasets.

Torch tensors never leave this package: numpy arrays, frames and frozen dataclasses cross its border.
"""

import os

# Read once, when torch is first imported. Threads that wait by spinning make an encode ten times slower as soon as
# anything else runs on the machine (measured: 5-145 s for the same text); threads that sleep cost a small model 1.5x
# on an idle machine, and nothing measurable where matrices are large.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
