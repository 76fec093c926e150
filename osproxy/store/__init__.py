"""The directory on disk: entries in, entries out."""
