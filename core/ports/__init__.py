"""Contracts between the use cases and the outside: what is guaranteed, what may be lost, what raises."""
