"""The errors that a user can cause or has to know of.  Each message carries its remedy."""


class InputError(ValueError):
    """Something given is not what it has to be: the message names the entry, the rule and the remedy."""


class ShapeError(InputError):
    """An array has other axes than it has to have."""


class ConvergenceError(ArithmeticError):
    """An iteration ended before its error bound met the tolerance; no unconverged answer is returned."""


class NotDifferentiableError(InputError):
    """A gradient was asked for at a point where it does not exist."""
