"""Which boards a model fits, how fast it would be there, and how long a battery would last: no board is touched."""
