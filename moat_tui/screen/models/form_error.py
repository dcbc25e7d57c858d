"""What is wrong with one field of a form."""

from __future__ import annotations


class FormError(Exception):
    """field: the id of the field that is wrong; the message is for the person."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
