"""One run from what a person asks to a result on disk: prepared, measured, finished."""
