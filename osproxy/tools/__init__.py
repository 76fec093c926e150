"""Commands that are installed beside the server, and what they are made of."""
