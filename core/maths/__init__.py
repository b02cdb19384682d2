"""Pure numpy, scipy and numba: arrays in, arrays out; nothing here reads a file or knows a page."""
