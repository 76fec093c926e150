"""Tests of the extension in `docs.extensions`."""
