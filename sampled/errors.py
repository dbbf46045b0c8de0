"""The errors that a user can cause or has to know of.  Each message carries its remedy."""


class InputError(ValueError):
    """Something given is not what it has to be: the message names the entry, the rule and the remedy."""
