"""What a repository is: kinds of files, how each is kept, digests. Pure functions and values."""
