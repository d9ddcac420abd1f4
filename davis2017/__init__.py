"""Evaluation of DAVIS 2017: region similarity J and boundary accuracy F (spec §6)."""
