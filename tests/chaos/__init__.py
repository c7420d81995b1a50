"""The chaos run: servers, people and publishers under injected faults, judged by what the people themselves wrote down."""
