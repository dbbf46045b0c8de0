"""The auditor: how biased a policy-gradient estimator is, with a guarantee.

``from verify.audit import audit`` audits anyone's estimator; ``python -m verify audit`` does so from the
command line, and audits the built-in ones.  What is needed for that is imported when it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from verify.audit.own import Audited, audit

__all__ = ["Audited", "audit"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from verify.audit import own

        return getattr(own, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
