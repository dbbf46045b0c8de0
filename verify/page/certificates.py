"""Certificates as a reader takes them up with pencil and paper: data in tables, steps as formulas."""

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product, starmap
from typing import Any

from flint import fmpq
from markupsafe import Markup, escape

from verify.claims.exact.steps import LAMBDA, Step, index_of, name_of
from verify.page.mathematics import GREEK, letters, prose
from verify.page.spelling import minus

ABOUT = ("id", "statement", "kind", "sense", "instance", "note", "quantity", "steps", "lhs", "rhs")
"""Fields that are shown elsewhere."""

REWARDS = {"r": "reward", "r_follower": "follower’s reward", "r_leader": "leader’s reward"}

RELATIONS = {"<=": "≤", ">=": "≥"}

PRECEDENCE: dict[type, int] = {ast.Add: 1, ast.Sub: 1, ast.Mult: 2, ast.Div: 4, ast.Pow: 3}

UPRIGHT = "<mi mathvariant='normal'>{}</mi>"
"""A word in a formula; text would take the spaces from around the relations next to it."""

COMMA = Markup("<mo separator='true'>,</mo>")
BAR = "<mo stretchy='false' lspace='0' rspace='0'>|</mo>"

SIGNS: dict[type, str] = {ast.Add: "+", ast.Sub: "−", ast.Mult: "·"}


def data(content: Mapping[str, Any]) -> Iterator[Markup]:
    """Draw the data of a certificate: models as tables, other fields as ``name = value``."""
    scalars = []
    for key, datum in content.items():
        if key in ABOUT:
            continue
        if isinstance(datum, dict) and "P" in datum:
            yield _model(datum)
            scalars += [
                _equation(name, datum[name]) for name in ("gamma", "rho", "tau") if name in datum
            ]
        elif isinstance(datum, dict):
            scalars += [_equation(name, inner) for name, inner in datum.items()]
        else:
            scalars.append(_equation(key, datum))
    if scalars:
        items = Markup("").join(Markup("<li>{}</li>").format(scalar) for scalar in scalars)
        yield Markup('<ul class="data">{}</ul>').format(items)


def _model(model: Mapping[str, Any]) -> Markup:
    """One row per state and action(s): rewards, and probabilities of the next states."""
    rewards = [key for key in REWARDS if key in model]
    shape = _shape(model["P"])
    players = len(shape) - 2
    acting = ["action"] if players == 1 else ["player 1", "player 2"]
    if "r_follower" in model:
        acting = ["leader", "follower"]
    heads = ["state", *acting, *(REWARDS[key] for key in rewards)]
    heads += [f"to state {t}" for t in range(1, shape[-1] + 1)]
    acts = "s, a" if players == 1 else "s, a, b"
    rows = []
    for place in product(*map(range, shape[:-1])):
        cells = [Markup("<th scope='row'>{}</th>").format(place[0] + 1)]
        numbers = [*(i + 1 for i in place[1:]), *(_at(model[key], place) for key in rewards)]
        numbers += _at(model["P"], place)
        cells += [Markup("<td>{}</td>").format(_number(number)) for number in numbers]
        rows.append(Markup("<tr>{}</tr>").format(Markup("").join(cells)))
    head = Markup("").join(Markup("<th scope='col'>{}</th>").format(name) for name in heads)
    return Markup(
        '<div class="scroll" tabindex="0" role="group" aria-label="Rewards and transitions">'
        '<table class="model"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
        '<p class="key">{} the reward in the state s, and P({}, t) the probability that t is next.</p>'
    ).format(
        head,
        Markup("").join(rows),
        Markup(" and ").join(Markup("{}({})").format(prose(key), acts) for key in rewards)
        + (" is" if len(rewards) == 1 else " are"),
        acts,
    )


def _shape(nested: Any) -> tuple[int, ...]:
    return (len(nested), *_shape(nested[0])) if isinstance(nested, list) else ()


def _at(nested: Any, index: Sequence[int]) -> Any:
    for i in index:
        nested = nested[i]
    return nested


def _equation(name: str, datum: Any) -> Markup:
    label = prose(name) if len(name) < 4 or name in GREEK or "_" in name else escape(name)
    return Markup("{} = {}").format(label, _value(datum))


def _value(datum: Any) -> Markup:
    if isinstance(datum, list):
        return Markup("({})").format(Markup(", ").join(map(_value, datum)))
    if isinstance(datum, dict):
        return Markup("{{{}}}").format(Markup("; ").join(starmap(_equation, datum.items())))
    return _number("yes" if datum is True else "no" if datum is False else datum)


def _number(number: object) -> Markup:
    return escape(minus(number))


def chain(step: Step) -> Markup:
    """Draw the chain of a step; lines may break before its relations.

    A side with names in it is followed by the same with their numbers, unless the step goes on so.
    """
    drawn: list[tuple[str, Markup]] = []
    for relation, side in zip(("", *step.relations), step.sides, strict=True):
        drawn.append((RELATIONS.get(relation, relation), _draw(side)))
        with_numbers = _draw(side, names=step.names)
        if name_of(side) is None and with_numbers != drawn[-1][1]:
            drawn.append(("=", with_numbers))
    kept = [
        part
        for place, part in enumerate(drawn)
        if place == 0 or part[0] != "=" or part[1] != drawn[place - 1][1]
    ]
    return Markup(" ").join(
        Markup('<math displaystyle="true"><mrow>{}{}</mrow></math>').format(
            Markup("<mo form='infix'>{}</mo>").format(relation) if relation else "", side
        )
        for relation, side in kept
    )


Names = Mapping[str, fmpq] | None


def _draw(node: ast.expr, around: int = 0, names: Names = None) -> Markup:
    """Draw an expression, in parentheses if it binds less than what is around it.

    With ``names`` their numbers stand in their places.
    """
    node = _split(node)
    name = name_of(node)
    if name is not None and names is not None:
        return _draw(ast.parse(str(names[name]), mode="eval").body, around)
    return DRAWN[type(node)](node, around, names)


def _constant(node: ast.Constant, _around: int, _names: Names) -> Markup:
    return Markup("<mn>{}</mn>").format(node.value)


def _name(node: ast.Name, _around: int, _names: Names) -> Markup:
    return _named(node.id)


def _indexed(node: ast.Subscript, _around: int, _names: Names) -> Markup:
    assert isinstance(node.value, ast.Name), "a verified step has indices at names alone"
    index = COMMA.join(Markup(UPRIGHT).format(letters(entry)) for entry in index_of(node))
    return Markup("{}<mo stretchy='false'>(</mo>{}<mo stretchy='false'>)</mo>").format(
        _named(node.value.id), index
    )


def _negative(node: ast.UnaryOp, around: int, names: Names) -> Markup:
    inside = Markup("<mo form='prefix'>−</mo>{}").format(_draw(node.operand, 2, names))
    return _bracketed(inside, around > 0)


def _function(node: ast.Call, _around: int, names: Names) -> Markup:
    assert isinstance(node.func, ast.Name), "a verified step calls functions by their names"
    arguments = COMMA.join(_draw(argument, 0, names) for argument in node.args)
    if node.func.id == "abs":
        return Markup(f"{BAR}{{}}{BAR}").format(arguments)
    return Markup("<mo rspace='0'>{}</mo>{}").format(node.func.id, _bracketed(arguments, True))


def _operation(node: ast.BinOp, around: int, names: Names) -> Markup:
    kind, binds = type(node.op), PRECEDENCE[type(node.op)]
    if kind is ast.Div:
        drawn = Markup("<mfrac><mrow>{}</mrow><mrow>{}</mrow></mfrac>").format(
            _draw(node.left, 0, names), _draw(node.right, 0, names)
        )
        return _bracketed(drawn, around > PRECEDENCE[ast.Pow])
    if kind is ast.Pow:
        return Markup("<msup><mrow>{}</mrow><mrow>{}</mrow></msup>").format(
            _draw(node.left, binds + 1, names), _draw(node.right, 0, names)
        )
    inside = Markup("{}<mo>{}</mo>{}").format(
        _draw(node.left, binds if kind is ast.Mult else 0, names),
        SIGNS[kind],
        _draw(node.right, binds + (kind is ast.Sub), names),
    )
    return _bracketed(inside, binds < around)


DRAWN: dict[type[ast.expr], Callable[[Any, int, Names], Markup]] = {
    ast.Constant: _constant,
    ast.Name: _name,
    ast.Subscript: _indexed,
    ast.UnaryOp: _negative,
    ast.Call: _function,
    ast.BinOp: _operation,
}
"""What a verified step may have."""


def _split(node: ast.expr) -> ast.expr:
    """Read ``a * 2 / 3`` as a times 2/3, and ``-2 / 3`` as minus 2/3."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)):
        return node
    left = node.left
    if isinstance(left, ast.UnaryOp):
        return ast.UnaryOp(left.op, ast.BinOp(left.operand, node.op, node.right))
    if (
        isinstance(left, ast.BinOp)
        and isinstance(left.op, ast.Mult)
        and isinstance(left.right, ast.Constant)
        and isinstance(node.right, ast.Constant)
    ):
        return ast.BinOp(left.left, left.op, ast.BinOp(left.right, node.op, node.right))
    return node


def _bracketed(drawn: Markup, needed: bool) -> Markup:
    return Markup("<mo>(</mo>{}<mo>)</mo>").format(drawn) if needed else drawn


def _named(name: str) -> Markup:
    """Draw a name: Greek, with what follows an underscore as its index."""
    stem, _, index = name.removesuffix("_").partition("_") if name != LAMBDA else ("lambda", "", "")
    word = GREEK.get(stem, stem)
    drawn = Markup("<mi>{}</mi>" if len(word) == 1 else UPRIGHT).format(word)
    if index:
        index = GREEK.get(index, index.replace("_", " "))
        drawn = Markup(f"<msub>{{}}{UPRIGHT}</msub>").format(drawn, index)
    return drawn
