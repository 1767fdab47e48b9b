"""The bundle scanner: an app, an archive or a folder in, the models and ML runtimes inside it out."""

from edgeprof.bundle.scan import looks_like_bundle, scan

__all__ = ["looks_like_bundle", "scan"]
