"""HTTP in: each handler loads, calls, dumps."""
