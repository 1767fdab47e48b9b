# This machine: frames on standard input and output. For tests, and for a look at the agent without a board.
SOURCES := ports/host/port.c
EXTRA += -D_POSIX_C_SOURCE=200809L
