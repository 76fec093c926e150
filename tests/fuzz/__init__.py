"""
Hostile input for the parsers of HTTP/1, made at random for as long as one likes::

    python -m tests.fuzz --seconds 30

The seed is printed; ``--seed`` makes the same inputs again in the same order.
"""
