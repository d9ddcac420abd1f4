"""Faults put into the real programs, and what they make of them: docs/reliability.md."""
