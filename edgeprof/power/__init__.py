"""Power traces: where they come from, laid over inferences, integrated. Pure but for the reading of files."""
