"""The conductor: a question in, an answer out."""
