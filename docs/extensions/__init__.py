"""What Sphinx is extended by for the documents."""
