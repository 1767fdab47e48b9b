"""Two results or two models to what changed, how surely, and whether that is worse."""
