"""Rules on frozen data. Standard library only; nothing here opens a socket, a file or a database."""
