"""The planted world: a corpus whose true concepts are known, and the model and SAE trained on it."""
