"""Sockets in, events out: the hub that keeps rooms in order, and the Socket.IO server that carries them."""
