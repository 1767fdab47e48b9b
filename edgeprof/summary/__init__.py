"""What a board said to a result: events to a measurement, a measurement to metrics. Pure."""
