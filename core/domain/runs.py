"""Runs: sets of offsets as sorted, disjoint, non-adjacent inclusive intervals.

What a person has read of a room is such a set: a million postings read one by one are a single run.
"""

from collections.abc import Iterable, Iterator

Run = tuple[int, int]
Runs = tuple[Run, ...]


def normalise(runs: Iterable[Run]) -> Runs:
    """The same offsets as sorted, disjoint, non-adjacent runs; empty ones are dropped."""
    ordered = sorted(runs)
    if len(ordered) == 1 and ordered[0][0] <= ordered[0][1]:
        return (ordered[0],)  # as it mostly is
    merged: list[Run] = []
    for first, last in ordered:
        if first > last:
            continue
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def of_offsets(offsets: Iterable[int]) -> Runs:
    return normalise((offset, offset) for offset in offsets)


def union(left: Iterable[Run], right: Iterable[Run]) -> Runs:
    return normalise((*left, *right))


def subtract(runs: Iterable[Run], holes: Iterable[Run]) -> Runs:
    """The offsets of `runs` that are in none of `holes`."""
    return tuple(_subtract(normalise(runs), normalise(holes)))


def _subtract(runs: Runs, holes: Runs) -> Iterator[Run]:
    position = 0
    for run_first, last in runs:
        first = run_first
        while position < len(holes) and holes[position][1] < first:
            position += 1
        at = position
        while at < len(holes) and holes[at][0] <= last:
            if holes[at][0] > first:
                yield first, holes[at][0] - 1
            first = holes[at][1] + 1
            at += 1
        if first <= last:
            yield first, last


def intersect(left: Iterable[Run], right: Iterable[Run]) -> Runs:
    """The offsets that are in both."""
    return tuple(_intersect(normalise(left), normalise(right)))


def _intersect(left: Runs, right: Runs) -> Iterator[Run]:
    ours = theirs = 0
    while ours < len(left) and theirs < len(right):
        first, last = max(left[ours][0], right[theirs][0]), min(left[ours][1], right[theirs][1])
        if first <= last:
            yield first, last
        if left[ours][1] == last:
            ours += 1
        else:
            theirs += 1


def contains(runs: Iterable[Run], offset: int) -> bool:
    return any(first <= offset <= last for first, last in runs)


def count(runs: Iterable[Run]) -> int:
    return sum(last - first + 1 for first, last in runs)
