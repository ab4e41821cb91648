"""One transaction for a batch: rows, new bases, journal, the end of the work. First read result, applier, rows, outcome."""
