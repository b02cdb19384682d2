"""Which planted concepts the SAE found, where they are known."""
