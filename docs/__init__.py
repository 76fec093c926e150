"""The documents, and what Sphinx needs to make pages of them."""
