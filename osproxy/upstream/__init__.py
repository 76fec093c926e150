"""Origins and mirrors: bytes in."""
