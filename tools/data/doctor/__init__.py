"""The data doctor: one module a data set, which says what is there, what is missing or malformed, and what to do."""
