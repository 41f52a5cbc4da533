"""Errors of the validation package: one class per reason, each writes its own message.

::

    ValidationError (ValueError)
    |-- TableError       a table that a study cannot use: which column, which case, what is accepted
    |-- ArgumentError    a value handed to a statistic that it is not defined for
    |-- DesignError      a reader study whose design the method does not handle
    |-- ProtocolError    a protocol that cannot be read, or that changed after unblinding
"""

__all__ = ["ArgumentError", "DesignError", "ProtocolError", "TableError", "ValidationError"]


class ValidationError(ValueError):
    """Base of every error that this package raises on purpose."""


class TableError(ValidationError):
    """A table that a study cannot use.

    Parameters
    ----------
    table : str
        The file or the role of the table, for example ``CASES``.
    found : str
        What stands in the table.
    accepted : str
        What would be accepted.
    column : str, optional
        The column at fault; None when the whole table is.
    case_id : str, optional
        The first case at fault; None when no single case is.
    """

    def __init__(
        self,
        *,
        table: str,
        found: str,
        accepted: str,
        column: str | None = None,
        case_id: str | None = None,
    ) -> None:
        where = table
        if column is not None:
            where += f", column '{column}'"
        if case_id is not None:
            where += f", case_id '{case_id}'"
        super().__init__(f"{where}: {found}; accepted: {accepted}")
        self.column = column
        self.case_id = case_id


class ArgumentError(ValidationError):
    """A value that a statistic is not defined for."""

    def __init__(self, *, argument: str, found: object, accepted: str) -> None:
        super().__init__(f"{argument}: {found}; accepted: {accepted}")
        self.argument = argument


class DesignError(ValidationError):
    """A reader-study design that the method does not handle."""

    def __init__(self, *, design: str, found: str, accepted: str) -> None:
        super().__init__(f"{design}: {found}; accepted: {accepted}")
        self.design = design


class ProtocolError(ValidationError):
    """A protocol that cannot be used: unreadable, incomplete, or changed after unblinding."""

    def __init__(self, *, protocol: str, found: str, accepted: str) -> None:
        super().__init__(f"{protocol}: {found}; accepted: {accepted}")
