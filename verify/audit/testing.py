"""For anyone's tests: an estimator that is not certified fails, with the verdict and the evidence.

In a test::

    from verify.audit.testing import assert_unbiased

    def test_my_estimator():
        assert_unbiased(my_estimator, "plain", "value.y", steps=5, epsilon=0.05)
"""

from typing import Any

from verify.audit.contract import Verdict
from verify.audit.own import Audited, audit


def assert_unbiased(
    estimator: Any, problem: Any = "plain", target: str = "value.y", **asked: Any
) -> Audited:
    """Audit an estimator and raise unless it is certified.

    Parameters
    ----------
    estimator, problem, target, **asked
        As :func:`verify.audit.audit`.

    Raises
    ------
    AssertionError
        If the verdict is not CERTIFIED: the message is the verdict with its evidence.
    InputError
        As :func:`verify.audit.audit`.
    """
    __tracebackhide__ = True  # pytest then shows the caller's line
    found = audit(estimator, problem, target, **asked)
    if found.verdict is not Verdict.CERTIFIED:
        raise AssertionError(str(found))
    return found
