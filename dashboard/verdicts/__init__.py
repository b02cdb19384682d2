"""Does a label hold: the verdict screen, all labels, every phrase of a test."""
