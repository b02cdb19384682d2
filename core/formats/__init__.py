"""Files and services of other tools: one module each, to read, to write or both."""
