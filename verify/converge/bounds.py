r"""Both sides of the bounds of Theorems 11 and 16 at every K, as printed and as proved.

A run gives the sums over k <= K, with D = ( F(z_1) - inf f ) / alpha::

    G = sum |G_k|^2     E = sum lambda^2 |grad^ p - grad p|^2     U = sum |z_{k+1} - z_k|^2 / alpha^2

The least accuracy eps_orac with which the oracle's assumption holds after K iterations is

    K eps = max(0, 20 E - U)      as Assumptions 3 and 7 say it: with the steps that are made
    K eps = max(0, 20 E - G)      as the proofs use it, (C.39) and (D.18): with the exact ones

and every bound is G <= c1 D + c2 K eps for one of the two, or for K eps replaced by the errors before
the last step::

    printed             16, 1           either reading
    proved              9/4, 1/16       as said; neither constant can be smaller while the other stays
    proved, small c1    (85 + sqrt 5) / 40, eta / (sqrt 20 (1 - eta^2)),  eta = (1 + sqrt 20) / 19
    proved, as used     40/19, 1/19     as the proofs use it
    proved, no eps      2, 1            of D and sum_{k<K} |e_k|^2

Derivation.  With g = G_k, h the step that is made over alpha, e the error of the gradient of F_lambda,
F smooth with 1 / alpha and Z convex, the *one-step lemma* (see ``docs/derivations.md``) is

    |g|^2  <=  2 ( F(z_k) - F(z_{k+1}) ) / alpha + |e|^2.

Summed up, G <= 2 D + E; for the last k an exact step may be thought, so that its error does not count.
Projections do not expand, |h - g| <= |e|, so U <= (1 + s) G + (1 + 1/s) E for every s > 0.  Then::

    9/8 (2 D + E - G) + 1/16 (K eps + U - 20 E) + 1/16 (2 G + 2 E - U)  =  9/4 D + K eps / 16 - G

with the reading as said; s = eta in place of 1 gives the constants with the small c1; and as used,
20/19 (2 D + E - G) + 1/19 (K eps + G - 20 E) = 40/19 D + K eps / 19 - G.

A computed norm g errs by slip = rounding of the gradient + 8 u (size of z + alpha |grad F|) / alpha, a
sum of squares by sum 2 slip g + slip^2, and D by twice the rounding of F over alpha.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from reference.validation import Array
from verify.converge.findings import Finding
from verify.converge.problems import Setup
from verify.crosscheck.tolerances import UNIT


@dataclass(frozen=True, eq=False)
class Course:
    """What was seen of a run; arrays (K, B) but for F.

    Attributes
    ----------
    setup : Setup
    F : (K, B)
        F_lambda at z_1, ..., z_K.
    g, e, u : (K, B)
        |G_k|, |e_k| and |z_{k+1} - z_k| / alpha.
    """

    setup: Setup
    F: Array
    g: Array
    e: Array
    u: Array

    @classmethod
    def of(cls, setup: Setup, rows: Array) -> "Course":
        """From the rows of :func:`verify.converge.runs.recorded`."""
        return cls(setup, *np.moveaxis(rows, 1, 0))

    @property
    def counts(self) -> Array:
        """K = 1, 2, ..., shape (K, 1)."""
        return np.arange(1.0, len(self.g) + 1.0)[:, None]

    @property
    def D(self) -> Array:
        """(F(z_1) - inf f) / alpha, shape (B,)."""
        return np.asarray((self.F[0] - self.setup.lowest) / self.setup.alpha)

    @property
    def G(self) -> Array:
        """Sums of |G_k|^2."""
        return np.asarray(np.cumsum(self.g**2, axis=0))

    @property
    def E(self) -> Array:
        """Sums of |e_k|^2."""
        return np.asarray(np.cumsum(self.e**2, axis=0))

    @property
    def U(self) -> Array:
        """Sums of |z_{k+1} - z_k|^2 / alpha^2."""
        return np.asarray(np.cumsum(self.u**2, axis=0))

    @property
    def slip(self) -> float:
        """Bound on the error of a computed g, e or u."""
        start = self.setup.state
        parts = (start.x, *start.y)
        size = float(np.sqrt(sum(part[0].size for part in parts))) * max(
            1.0, float(np.abs(start.x).max())
        )
        largest = float(max(self.g.max(), self.u.max(), self.e.max()))
        points = 8.0 * UNIT * (size / self.setup.alpha + largest)
        return self.setup.gradient_rounding + points

    def summed(self, norms: Array) -> Array:
        """Bound on the rounding of a sum of squares of g, e or u."""
        own = 2.0 * self.slip * norms + self.slip**2 + UNIT * (len(norms) + 4) * norms**2
        return np.asarray(np.cumsum(own, axis=0))

    @property
    def drop_rounding(self) -> float:
        """Bound on the rounding of D, and of a fall of F over alpha."""
        return 2.0 * self.setup.value_rounding / self.setup.alpha


Accuracy = Callable[[Course], Array]
"""K eps, shape (K, B)."""


def as_said(course: Course) -> Array:
    """By the steps that are made."""
    return np.maximum(0.0, 20.0 * course.E - course.U)


def as_used(course: Course) -> Array:
    """By the exact projected gradients."""
    return np.maximum(0.0, 20.0 * course.E - course.G)


def before_the_last(course: Course) -> Array:
    """Sum of the squared errors but the last one."""
    return course.E - course.e**2


@dataclass(frozen=True)
class Form:
    """One bound.

    Attributes
    ----------
    key : str
        A word.
    title : str
    c1, c2 : float
    accuracy : Accuracy
    """

    key: str
    title: str
    c1: float
    c2: float
    accuracy: Accuracy

    @property
    def words(self) -> str:
        """What is claimed."""
        return f"average squared projected gradient <= {self.c1:.6g} D / K + {self.c2:.6g} eps"

    def sides(self, course: Course) -> tuple[Array, Array, Array]:
        """Averages, bounds and the rounding of both, shape (K, B)."""
        counts = course.counts
        right = self.c1 * course.D + self.c2 * self.accuracy(course)
        G, E, U = (course.summed(norms) for norms in (course.g, course.e, course.u))
        rounding = G + self.c1 * course.drop_rounding + self.c2 * (20.0 * E + np.maximum(G, U))
        return course.G / counts, right / counts, rounding / counts


ETA = (1.0 + np.sqrt(20.0)) / 19.0

PRINTED = Form("printed", "printed", 16.0, 1.0, as_said)
PROVED = Form("proved", "proved", 9.0 / 4.0, 1.0 / 16.0, as_said)
SMALL_C1 = Form(
    "proved_small_c1",
    "proved, smallest c1",
    2.0 / (1.0 - ETA**2),
    ETA / (np.sqrt(20.0) * (1.0 - ETA**2)),
    as_said,
)
PRINTED_AS_USED = Form("printed_as_used", "printed, eps as the proof uses it", 16.0, 1.0, as_used)
PROVED_AS_USED = Form(
    "proved_as_used", "proved, eps as the proof uses it", 40.0 / 19.0, 1.0 / 19.0, as_used
)
SUMMED = Form("one_step_summed", "one-step lemma, summed", 2.0, 1.0, before_the_last)
FORMS = (PRINTED, PROVED, SMALL_C1, PRINTED_AS_USED, PROVED_AS_USED, SUMMED)


def without_accuracy(form: Form) -> Form:
    """The bound with eps = 0, which holds for exact oracles only."""
    return Form(f"{form.key}_without_eps", f"{form.title}, without eps", form.c1, 0.0, form.accuracy)


def finding(form: Form, course: Course) -> Finding:
    """The tightest K and member of a batch."""
    lhs, rhs, tolerance = form.sides(course)
    return _worst(form.key, form.words, lhs, rhs, tolerance, course)


def one_step(course: Course) -> Finding:
    """The one-step lemma in every single iteration but the last."""
    lhs = course.g[:-1] ** 2
    rhs = 2.0 * (course.F[:-1] - course.F[1:]) / course.setup.alpha + course.e[:-1] ** 2
    sizes = 2.0 * course.slip * (course.g + course.e) + 2.0 * course.slip**2
    tolerance = sizes[:-1] + 2.0 * course.drop_rounding
    words = "squared projected gradient <= 2 (F(z_k) - F(z_{k+1})) / alpha + |e_k|^2"
    return _worst("one_step", words, lhs, rhs, tolerance, course)


def findings(course: Course) -> Iterator[Finding]:
    """Every bound, at its tightest."""
    for form in FORMS:
        yield finding(form, course)
    yield one_step(course)


def _worst(key: str, words: str, lhs: Array, rhs: Array, tolerance: Array, course: Course) -> Finding:
    limit = rhs + tolerance
    ratio = np.where(limit > 0.0, lhs / np.where(limit > 0.0, limit, 1.0), np.inf)
    ratio = np.where((limit <= 0.0) & (lhs <= limit), 0.0, ratio)
    # What is no number counts as the largest, and does not hold.
    at = np.unravel_index(int(ratio.argmax()), ratio.shape)
    where = f"{course.setup.title}, member {at[1]}, K = {at[0] + 1}"
    return Finding(key, words, float(lhs[at]), float(rhs[at]), float(tolerance[at]), where, lhs.shape[1])


def first_failure(form: Form, course: Course) -> int | None:
    """The first K at which a bound fails for a member, if there is one."""
    lhs, rhs, tolerance = form.sides(course)
    failing = ~(lhs <= rhs + tolerance).all(axis=1)
    return int(failing.argmax()) + 1 if failing.any() else None
