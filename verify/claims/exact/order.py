r"""Vectors that are nonnegative in every entry, in every dimension: bounds of recursions for values.

A value is a vector over states or state-action pairs, an average or a transition an operator without
negative entries, an order a polynomial in such letters that do not commute; E is the vector of ones.  A
bound ``c E - V >= 0`` follows from others if identically

    conclusion  =  sum_i multiplier_i slack_i

with multipliers that are sums of words of nonnegative letters.  A signed operator is the difference of
its parts, T = T+ - T-, and its row sums of absolute values are T+ E + T- E.

The letters, for an MDP (for a game X is the average over both players' actions)::

    X    average over actions, X E = E              G    gamma P, G E = g E
    J    a function of states, of pairs: X J = 1    T    slope of X along a direction: T J = 0, T E = 0
    R    rewards                                    H    slope of G: H E = 0
    N    tau h                                      V = X R - N + X G V,  Q = R + G V

Each function verifies one step and raises `CertificateError` if it is wrong.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from verify.claims.contract import CertificateError
from verify.claims.exact.operators import Operators, operators, vanishes


@dataclass(frozen=True)
class Order:
    """Letters and what is known of them.

    Attributes
    ----------
    numbers : str
        Letters that commute with all others, and are nonnegative unless listed in ``signed``.
    positive : str
        Operators without negative entries.
    rules : mapping
        Words, each with the polynomial that it equals; read from left to right, in this order.
    signed : str
        Numbers of any sign.
    """

    numbers: str
    positive: str
    rules: Mapping[str, str]
    signed: str = ""

    def reduced(self, polynomial: Operators) -> Operators:
        """Apply the rules until none does, with numbers in front."""
        numbers = set(self.numbers.split()) | set(self.signed.split())
        while True:
            found = polynomial
            for word, by in self.rules.items():
                found = found.replaced(word, operators(by))
            found = found.with_in_front(numbers)
            if found.terms == polynomial.terms:
                return found
            polynomial = found

    def follows(self, what: str, conclusion: str, known: Iterable[tuple[str, str]]) -> None:
        """Require that the conclusion is the sum of multiplier * slack, and multipliers nonnegative.

        Raises
        ------
        CertificateError
            If a multiplier may be negative, or something is left over.
        """
        left_over = operators(conclusion)
        allowed = set(self.positive.split()) | set(self.numbers.split())
        for multiplier, slack in known:
            factor = operators(multiplier)
            for word, coefficient in factor.terms.items():
                if coefficient < 0 or not set(word) <= allowed:
                    raise CertificateError(f"{what}: the multiplier {multiplier} may be negative")
            left_over = left_over - factor * operators(slack)
        vanishes(what, self.reduced(left_over))


STOCHASTIC = {"X E": "E", "G E": "g E", "X J": "1", "J E": "E"}
"""Averages and transitions keep constants; a function of states is the same for all actions."""


def values() -> None:
    """|V| <= b + h + g v where |R| <= b, |N| <= h and |V| <= v; and |Q| <= b + g v."""
    order = Order("b h v g", "X G", {"V'": "X R - N + X G V", "Q": "R + G V", **STOCHASTIC})
    for sign, back in (("+", "-"), ("-", "+")):
        order.follows(
            "V from the rewards",
            f"b E + h E + g v E {back} V'",
            [("X", f"b E {back} R"), ("1", f"h E {sign} N"), ("X G", f"v E {back} V")],
        )
        order.follows(
            "Q from the values",
            f"b E + g v E {back} Q",
            [("1", f"b E {back} R"), ("G", f"v E {back} V")],
        )


def centred_values() -> None:
    """|V - c| <= b + g m and |Q - J N - c| <= b + g m, if |R - J N - (1 - g) c| <= b and |V - c| <= m.

    So beta / (1 - gamma) bounds both, if beta is half the range of one-step rewards r - tau h.
    """
    order = Order("b m g", "X G", {"V'": "X R - N + X G V", "Q": "R + G V", **STOCHASTIC}, signed="c")
    for sign, back in (("+", "-"), ("-", "+")):
        one_step = f"b E {back} R {sign} J N {sign} c E {back} c g E"
        next_state = f"m E {back} V {sign} c E"
        order.follows("V", f"b E + g m E {back} V' {sign} c E", [("X", one_step), ("X G", next_state)])
        order.follows(
            "Q", f"b E + g m E {back} Q {sign} J N {sign} c E", [("1", one_step), ("G", next_state)]
        )


def slope_recursion() -> None:
    """V = C + M V has DV = DC + DM V + M DV, and |DV| <= k + g w if |DC + DM V| <= k and |DV| <= w."""
    slope = operators("C + M V").derivative({"C": "C1", "M": "M1", "V": "W"})
    vanishes("DV", slope - operators("C1 + M1 V + M W"))
    order = Order("k w g", "M", {"W'": "C1 + M1 V + M W", "M E": "g E"})
    for sign in "-+":
        order.follows(
            "a bound of slopes",
            f"k E + g w E {sign} W'",
            [("1", f"k E {sign} C1 {sign} M1 V"), ("M", f"w E {sign} W")],
        )


def second_slope_recursion() -> None:
    """|D'DV| <= K + g (p w' + p' w) + g u, if |D'DC + D'DM V| <= K and rows of DM have l1 norm g p.

    w, w' and u bound |DV|, |D'V| and |D'DV|.
    """
    slope = operators("C + M V").derivative({"C": "C1", "M": "M1", "V": "W"})
    second = slope.derivative({"C1": "C3", "M1": "M3", "M": "M2", "V": "W2", "W": "U"})
    vanishes("D'DV", second - operators("C3 + M3 V + M1 W2 + M2 W + M U"))
    recursion = "C3 + M3 V + P1 W2 - N1 W2 + P2 W - N2 W + M U"
    order = Order("K p q w z u g", "M P1 N1 P2 N2", {"U'": recursion, "M E": "g E"})
    for sign, back in (("+", "-"), ("-", "+")):
        order.follows(
            "a bound of second slopes",
            f"K E + g p z E + g q w E + g u E {back} U'",
            [
                ("1", f"K E {back} C3 {back} M3 V"),
                ("P1", f"z E {back} W2"),
                ("N1", f"z E {sign} W2"),
                ("z", "g p E - P1 E - N1 E"),
                ("P2", f"w E {back} W"),
                ("N2", f"w E {sign} W"),
                ("w", "g q E - P2 E - N2 E"),
                ("M", f"u E {back} U"),
            ],
        )


def through_the_policy() -> None:
    """|T Q - D| <= p m + k for a slope T of the policy, p of its rows' l1 norm, and |D| <= k.

    m bounds |Q - J N - c|: what is the same for all actions does not matter, as T J = 0.  The slope of
    X (R + G V) - N at fixed V is T Q - D with D that of tau h; and second slopes of the policy enter in
    the same way.
    """
    equation = operators("X R + X G V - N").derivative({"X": "T", "N": "D"})
    vanishes("the slope at fixed V", equation - operators("T R + T G V - D"))
    order = Order("p m k", "P M", {"T": "P - M", "P J": "M J", "P E": "M E"}, signed="c")
    for sign, back in (("+", "-"), ("-", "+")):
        order.follows(
            "the part through the policy",
            f"p m E + k E {back} T Q {sign} D",
            [
                ("P", f"m E {back} Q {sign} J N {sign} c E"),
                ("M", f"m E {sign} Q {back} J N {back} c E"),
                ("m", "p E - P E - M E"),
                ("1", f"k E {sign} D"),
            ],
        )


def through_the_transitions() -> None:
    """|X A + X H V| <= a + h m for |A| <= a, rows of H of l1 norm h and sum 0, and |V - c| <= m."""
    order = Order("a h m", "X P M", {"H": "P - M", "P E": "M E", "X E": "E"}, signed="c")
    for sign, back in (("+", "-"), ("-", "+")):
        order.follows(
            "the part through rewards and transitions",
            f"a E + h m E {back} X A {back} X H V",
            [
                ("X", f"a E {back} A"),
                ("X P", f"m E {back} V {sign} c E"),
                ("X M", f"m E {sign} V {back} c E"),
                ("m X", "h E - P E - M E"),
            ],
        )


def through_both() -> None:
    """|T A| <= p a for a slope T of the policy, |A| <= a: the mixed slope of X (R + G V) at fixed V."""
    order = Order("p a", "P M", {"T": "P - M"})
    for sign, back in (("+", "-"), ("-", "+")):
        order.follows(
            "the mixed part",
            f"p a E {back} T A",
            [("P", f"a E {back} A"), ("M", f"a E {sign} A"), ("a", "p E - P E - M E")],
        )


def rows_of_slopes() -> None:
    """Rows of D(X G) = T G + X H have l1 norm at most g p + h; those of T have p, those of H have h.

    The parts of T are P and M, those of H are A and B.
    """
    vanishes(
        "the slope of X G",
        operators("X G").derivative({"X": "T", "G": "H"}) - operators("T G + X H"),
    )
    order = Order("p h g", "X P M", {"X E": "E", "G E": "g E"})
    order.follows(
        "l1 norms of rows",
        "g p E + h E - P G E - M G E - X A E - X B E",
        [("g", "p E - P E - M E"), ("X", "h E - A E - B E")],
    )


def next_values() -> None:
    """|G W| <= g w where |W| <= w: of Q = R + G V only V depends on the policy."""
    vanishes("DQ", operators("R + G V").derivative({"V": "W"}) - operators("G W"))
    order = Order("w g", "G", {"G E": "g E"})
    for sign in "-+":
        order.follows("slopes of Q", f"g w E {sign} G W", [("G", f"w E {sign} W")])


def through_both_players() -> None:
    """|T Z Q| <= p q m for slopes T, Z of two players' policies, with rows of l1 norm p, q and sum 0."""
    order = Order(
        "p q m",
        "P M A B",
        {"T": "P - M", "Z": "A - B", "A E": "B E", "P E": "M E"},
        signed="c",
    )
    for sign, back in (("+", "-"), ("-", "+")):
        order.follows(
            "the part through both policies",
            f"p q m E {back} T Z Q",
            [
                ("P A + M B", f"m E {back} Q {sign} c E"),
                ("P B + M A", f"m E {sign} Q {back} c E"),
                ("m P + m M", "q E - A E - B E"),
                ("m q", "p E - P E - M E"),
            ],
        )
