"""Outputs: a result in the forms that people and systems read; independent of each other."""
