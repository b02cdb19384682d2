"""One file, one analysis: pure functions from a run's tables to new tables; nothing here loads a model."""
