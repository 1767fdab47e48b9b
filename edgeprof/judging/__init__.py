"""Verdicts: limits and their profiles, files and app bundles without a board, readiness for a deployment."""
