"""The program: settings, composition root, command line, logs and metrics."""
