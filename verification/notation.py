"""How a value of a results file is written for a reader."""

from typing import Any

__all__ = ["interval", "show"]


def show(value: object, form: str = "") -> str:
    """Write a JSON value for a reader: numbers by a format, text as it is."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "not defined"}[value]
    if isinstance(value, float):
        text = format(value, form or ".3f")
        return text.replace("%", " %").replace("-", "\u2212")
    if isinstance(value, list):
        return ", ".join(show(one, form) for one in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def interval(value: Any, form: str = "") -> str:  # noqa: ANN401  # a JSON value
    """Write a value; an estimate with its interval, "\u2013" for a limit that is not defined."""
    if not isinstance(value, dict):
        return show(value, form)
    if value.get("estimate") is None:
        return f"not defined ({value.get('reason', 'no reason given')})"
    text = show(value["estimate"], form)
    limits = [value.get("lower"), value.get("upper")]
    if limits == [None, None]:
        return text
    low, high = ("\u2013" if limit is None else show(limit, form) for limit in limits)
    return f"{text} [{low}, {high}]"
