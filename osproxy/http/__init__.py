"""What HTTP says: fields, ranges, conditions, freshness. Pure functions and values."""
