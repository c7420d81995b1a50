"""Benchmarks: what the server does in a second, and how long a notification is on its way."""
