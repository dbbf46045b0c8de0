"""The error that a user can cause: one class for both rooms, so that whoever catches it catches both."""

from reference.errors import InputError

__all__ = ["InputError"]
