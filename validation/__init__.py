"""Validation: was the right device built? The statistics of standalone and reader studies."""
