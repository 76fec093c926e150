"""What the operator wants: every setting with its default, its origin, and its complaint."""
