"""`python -m edgeprof`: the same as the `edgeprof` script."""

from __future__ import annotations

from edgeprof.cli import main

if __name__ == "__main__":
    main()
