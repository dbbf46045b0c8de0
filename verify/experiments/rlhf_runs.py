r"""One run of RLHF in a directory of its own, and what directories of runs tell besides curves.

A directory holds what :func:`sampled.rlhf.run.run` writes, and ``rates.jsonl``, processor seconds by
kind of work, one line per kind whenever the phase changes, ``under_way.json``, how far the run is, and
``compared.json``, some of the last pairs as pictures.  Rates are of this machine, and no part of what
is compared.

**What a run costs.**  With the seconds t of one piece of work of each kind, a run of the preset of K
updates, n_0 pairs at first, m per round, E epochs of warm-up and J = (K - 1) / e later ones, which go
through N pairs on average and take a companion a steps ahead::

    (n_0 / m) t_collecting + E (n_0 / n) t_warming + (K + J a) t_update
        + J (t_update' - (1 + a') t_update) (N / n')

where t_update' is that of updates with an epoch, a' its companion's steps, and n, n' the pairs that the
measured epochs went through.  If none was measured, a later epoch counts as a round of collection and
one of the warm-up.  Evaluations are left out, and the first piece of work whenever a run begins or goes
on, in which games and libraries are loaded.  The emulator's own share, which a GPU does not shorten, is
measured by playing at random.
"""

import base64
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np

from reference.errors import InputError
from reference.optimality import policy_iteration
from reference.problems.mdp import Mdp
from reference.regularizers import NegativeEntropy
from reference.validation import Array
from verify.experiments import under_way
from verify.experiments.contract import Beside, Parameter, Picture, Series
from verify.experiments.under_way import UnderWay
from verify.report import files

if TYPE_CHECKING:
    from sampled.rlhf.experiment import Experiment, Progress
    from sampled.rlhf.settings import Settings, Tabular

RATES, COMPARED = "rates.jsonl", "compared.json"
START = "start"
"""The kind of the first piece of work of a call, with all that is loaded for it."""
SHOWN, COLUMNS = 4, 6
"""Pairs that are shown, and frames of each segment."""
WIDTH = 420
"""Of a strip of frames, in pixels."""


@dataclass(frozen=True)
class Cut:
    """What is smaller than in a preset, besides the number of updates.

    Attributes
    ----------
    pairs, window : int
        Pairs at first, of which the buffer holds twice as many, and steps that they are cut from.
    warmup, epoch_every, batch : int
        Of the predictor: epochs of the warm-up, updates between two later ones, and pairs of a batch.
    lanes, max_steps : int
        Of the games.
    checkpoint_every : int
    """

    pairs: int
    window: int
    warmup: int
    epoch_every: int
    batch: int
    lanes: int
    max_steps: int
    checkpoint_every: int


@dataclass(frozen=True)
class Task:
    """One run.

    Attributes
    ----------
    testbed, preset, game, method : str
    seed : int
    updates, points, episodes : int
    cut : Cut or None
    device, measure : str
    tensorboard : bool
    """

    testbed: str
    preset: str
    game: str
    method: str
    seed: int
    updates: int
    points: int
    episodes: int
    cut: Cut | None
    device: str
    measure: str
    tensorboard: bool = False

    @property
    def key(self) -> str:
        """Of its series."""
        return f"{self.game}/sampled/{self.method}/{self.seed}"


class Rates:
    """Adds up processor time by kind of work, as a watch of a run.

    Parameters
    ----------
    path : Path
        Lines are added to it.
    settings : Settings
    """

    def __init__(self, path: Path, settings: "Settings") -> None:
        self._path, self._settings = path, settings
        self._began = time.process_time()
        self._phase = ""
        self._spent: dict[str, list[float]] = {}

    def __call__(self, now: "Progress", _rate: float) -> None:
        """Count a tick."""
        ended, self._began = self._began, time.process_time()
        seconds = self._began - ended
        phase, self._phase = self._phase, now.phase
        kind = phase or START
        if phase == now.phase == "training":
            kind = self._kind(now.done)
        self.add(kind, 1, seconds)
        if now.phase != phase:
            self.write()

    def _kind(self, done: int) -> str:
        run, every = self._settings.run, self._settings.reward.epoch_every
        if done % run.evaluate_every == 0 or done >= run.updates:
            return "evaluated update"
        return "epoch" if done > 1 and (done - 1) % every == 0 else "update"

    def add(self, kind: str, ticks: int, seconds: float) -> None:
        """Count other work."""
        spent = self._spent.setdefault(kind, [0.0, 0.0])
        spent[0] += ticks
        spent[1] += seconds

    def write(self) -> None:
        """Add lines for what was counted since the last ones."""
        with self._path.open("a", encoding="utf-8") as file:
            for kind, (ticks, seconds) in self._spent.items():
                line = {"kind": kind, "ticks": ticks, "cpu_seconds": round(seconds, 4)}
                file.write(json.dumps(line) + "\n")
        self._spent.clear()


def perform(task: Task, settings: "Settings", room: Path) -> Series:
    """Run, or go on, and read the curve off the metrics."""
    import torch

    from sampled.rlhf import records
    from sampled.rlhf.run import run
    from sampled.rlhf.settings import Tabular

    torch.set_num_threads(1)
    rates = Rates(room / RATES, settings)
    tell = under_way.teller(room)

    def watch(now: "Progress", rate: float) -> None:
        rates(now, rate)
        tell(UnderWay(share(settings, now), rate, f"{now.phase} {now.done:,} of {now.total:,}"))

    experiment = run(settings, room, device=task.device, tensorboard=task.tensorboard, watch=watch)
    if task.testbed != "tabular":
        _emulate(experiment, rates)
    _show(experiment, room)
    rates.write()
    lines = [json.loads(line) for line in (room / records.METRICS).read_text("utf-8").splitlines()]
    points = [line for line in lines if task.measure in line]
    values = np.array([[line[task.measure]] for line in points])
    if isinstance(settings.game, Tabular):
        values = scaled(settings.game, settings.a2c.gamma, values)
    return Series(
        task.key,
        _parameters(settings),
        (task.seed,),
        tuple(line["update"] for line in points),
        tuple(line["all_steps"] for line in points),
        {task.measure: values},
    )


def share(settings: "Settings", now: "Progress") -> float:
    """Part of a run that is done, by states: those that are learned from count three times."""
    pairs, reward, run, a2c = settings.preferences, settings.reward, settings.run, settings.a2c
    size = 2.0 * pairs.segment_length
    parts = {"training": 3.0 * run.updates * a2c.workers * a2c.steps}
    if run.method.value != "a2c":
        epochs = (run.updates - 1) // reward.epoch_every
        parts["training"] += 3.0 * epochs * _buffer(settings) * size
        parts["training"] += 3.0 * epochs * _ahead(settings) * a2c.workers * a2c.steps
        parts["collecting"] = 2.0 * pairs.initial_pairs * pairs.window
        parts["warming up"] = 3.0 * reward.warmup_epochs * pairs.initial_pairs * size
    before = ("collecting", "warming up", "training")
    done = sum(parts.get(phase, 0.0) for phase in before[: before.index(now.phase)])
    done += parts[now.phase] * now.done / max(now.total, 1)
    return done / sum(parts.values())


def scaled(game: "Tabular", gamma: float, values: Array) -> Array:
    """Values of policies in a table, such that the uniform policy has 0 and the optimal one 1."""
    import torch

    from sampled.rlhf.testbeds.tabular import Exact

    exact = Exact.of(game)
    lasting_s = ~exact.terminal_s.numpy()
    mdp = Mdp(
        exact.P_sat.numpy(),
        exact.r_sa.numpy() * lasting_s[:, None],
        gamma,
        exact.rho_s.numpy().astype(np.float64),
        0.0,
        NegativeEntropy(),
    )
    uniform = float(exact.value(torch.full_like(exact.r_sa, 1.0 / exact.r_sa.shape[1]), gamma))
    return np.asarray((values - uniform) / (policy_iteration(mdp).value - uniform))


def _parameters(settings: "Settings") -> dict[str, Parameter]:
    a2c = settings.a2c
    found: dict[str, Parameter] = {
        "gamma": a2c.gamma,
        "step": a2c.learning_rate,
        "lanes": a2c.workers,
        "steps of an update": a2c.steps,
    }
    if settings.run.method.value == "pbrl" and settings.pbrl.penalty_gradient:
        found["lambda"] = settings.pbrl.penalty_weight
    return found


def _emulate(experiment: "Experiment", rates: Rates) -> None:
    """Measure the games alone, played at random, for as many steps as a few updates take."""
    import torch

    from sampled.rlhf.lanes import Lanes

    settings = experiment.settings
    lanes = Lanes(
        experiment.bed.make(settings.a2c.workers), experiment.bed.depth, 0, torch.device("cpu")
    )
    generator = torch.Generator().manual_seed(0)

    def policy(stack: torch.Tensor) -> torch.Tensor:
        return torch.randint(experiment.bed.actions, (stack.shape[0],), generator=generator)

    updates = 10
    began = time.process_time()
    lanes.play(policy, updates * settings.a2c.steps)
    rates.add("games alone", updates, time.process_time() - began)


# Pictures.


def _png(picture: Any) -> str:
    """PNG in base64, the same bytes for the same pixels."""
    from matplotlib.image import imsave

    out = io.BytesIO()
    imsave(out, picture, format="png")
    return base64.b64encode(out.getvalue()).decode("ascii")


def _show(experiment: "Experiment", room: Path) -> None:
    """Keep the last pairs of the buffer that were decided as pictures."""
    import torch

    from sampled.rlhf.pictures import compared

    if not experiment.learned:
        return
    buffer = experiment.buffer
    labels = buffer.labels()
    newest = [(buffer.added - 1 - i) % buffer.capacity for i in range(len(buffer))]
    decided = [m for m in newest if float(labels[m]) != 0.5]
    chosen = buffer.pairs(torch.tensor((decided or newest)[:SHOWN]))
    shown = []
    for m in range(chosen.count):
        first, second, text = compared(chosen, m, COLUMNS, states=experiment.bed.states)
        strips = [{"png": _png(s), "size": [s.shape[1], s.shape[0]]} for s in (first, second)]
        shown.append({"strips": strips, "text": text, "label": float(chosen.label_m[m])})
    files.write(room / COMPARED, json.dumps(shown))


def pairs_svg(shown: Sequence[Mapping[str, Any]], notice: str = "") -> str:
    """Draw compared segments below each other, each pair with what its label says; first a notice."""
    parts: list[str] = []
    y = 4.0
    if notice:
        y += 14.0
        parts.append(f'<text x="4" y="{y:.0f}" font-weight="bold">{escape(notice)}</text>')
    for pair in shown:
        y += 14.0
        parts.append(f'<text x="4" y="{y:.0f}">{escape(pair["text"])}</text>')
        y += 5.0
        preferred = {1.0: 0, 0.0: 1}.get(pair["label"])
        for i, strip in enumerate(pair["strips"]):
            width, height = strip["size"]
            tall = WIDTH * height / width
            if i == preferred:
                parts.append(
                    f'<rect x="2" y="{y - 2:.1f}" width="{WIDTH + 4}" height="{tall + 4:.1f}" '
                    'fill="none" stroke="#009E73" stroke-width="2.5"/>'
                )
            parts.append(
                f'<image x="4" y="{y:.1f}" width="{WIDTH}" height="{tall:.1f}" '
                'style="image-rendering: pixelated" '
                f'href="data:image/png;base64,{strip["png"]}"/>'
            )
            y += tall + 7.0
        y += 4.0
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 8} {y:.0f}" '
        'font-family="sans-serif" font-size="11">\n' + "\n".join(parts) + "\n</svg>\n"
    )


# What directories tell.


def beside(presets: Mapping[str, str], testbed: str, notice: str, rooms: Mapping[str, Path]) -> Beside:
    """Pictures of each game, and what runs of the presets cost at the rates of these.

    Parameters
    ----------
    presets : mapping of str to str
        By game.
    testbed, notice : str
    rooms : mapping of str to Path
        By key of the run.
    """
    pictures, measured = [], {}
    for game, preset in presets.items():
        own = {key: room for key, room in rooms.items() if key.partition("/")[0] == game}
        with_pairs = [room / COMPARED for room in own.values() if (room / COMPARED).is_file()]
        if with_pairs:
            shown = json.loads(with_pairs[0].read_text(encoding="utf-8"))
            seen = "states, each a cell," if testbed == "tabular" else "frames"
            caption = (
                f"{notice} Compared segments of {game.replace('_', ' ')}, the last pairs of a run: "
                f"{seen} of both from the first step to the last; the preferred one is framed"
            )
            pictures.append(Picture(f"pairs_{game}", caption.strip(), pairs_svg(shown, notice)))
        if testbed == "tabular":
            continue
        for method in dict.fromkeys(key.split("/")[2] for key in own):
            of_method = [room for key, room in own.items() if key.split("/")[2] == method]
            measured[f"cost of {game}, {method}"] = cost(preset, of_method)
    return Beside(tuple(pictures), measured)


@dataclass(frozen=True)
class Cost:
    """Processor hours of a run, and those of its games alone.

    Attributes
    ----------
    hours, games : float
    """

    hours: float
    games: float


def estimated(wanted: "Settings", measured: "Settings", rates: Sequence[Mapping[str, Any]]) -> Cost:
    """What a run of some settings costs, from the rates of another; see the module.

    Parameters
    ----------
    wanted, measured : Settings
        They may differ in lengths, lanes and numbers of pairs; time is taken to grow in proportion.
    rates : sequence of mappings
        The lines of ``rates.jsonl``.

    Raises
    ------
    InputError
        If no update was measured.
    """

    def each(kind: str) -> float:
        own = [line for line in rates if line["kind"] == kind]
        ticks = sum(line["ticks"] for line in own)
        return sum(line["cpu_seconds"] for line in own) / ticks if ticks else 0.0

    if not any(line["kind"] == "update" for line in rates):
        raise InputError("no update was measured: run more of them")
    updates = wanted.run.updates
    epochs = (updates - 1) // wanted.reward.epoch_every
    size = wanted.a2c.workers * wanted.a2c.steps / (measured.a2c.workers * measured.a2c.steps)
    seconds = updates * size * each("update")
    pairs, had = wanted.preferences, measured.preferences
    if wanted.run.method.value != "a2c":
        round_ = pairs.window * pairs.pairs_per_epoch / (had.window * had.pairs_per_epoch)
        seconds += pairs.initial_pairs / pairs.pairs_per_epoch * round_ * each("collecting")
        warm = pairs.initial_pairs / had.initial_pairs
        seconds += wanted.reward.warmup_epochs * warm * each("warming up")
        if each("epoch") > 0.0:
            policies = (1 + _ahead(measured)) * each("update")
            own = max(each("epoch") - policies, 0.0) * _buffer(wanted) / _buffer(measured)
        else:
            own = each("warming up") * _buffer(wanted) / had.initial_pairs + round_ * each("collecting")
        seconds += epochs * (own + _ahead(wanted) * size * each("update"))
    return Cost(seconds / 3600.0, updates * size * each("games alone") / 3600.0)


def _ahead(chosen: "Settings") -> int:
    """Steps that a companion takes at each epoch, from the policy on."""
    from sampled.rlhf.settings import Companion, CompanionStart, Method

    own, alone = chosen.pbrl, chosen.run.method is not Method.PBRL
    if alone or own.companion is Companion.CURRENT or own.companion_start is not CompanionStart.POLICY:
        return 0
    return own.inner_steps * chosen.reward.epoch_every


def _buffer(measured: "Settings") -> float:
    """Pairs that an epoch goes through, on average over a run."""
    pairs, reward = measured.preferences, measured.reward
    epochs = max((measured.run.updates - 1) // reward.epoch_every, 1)
    sizes = [
        min(pairs.initial_pairs + i * pairs.pairs_per_epoch, pairs.capacity)
        for i in range(1, epochs + 1)
    ]
    return sum(sizes) / len(sizes)


def cost(preset: str, rooms: Sequence[Path]) -> str:
    """Say what a run of a preset costs at the rates of finished runs of one method."""
    from sampled.rlhf import records
    from sampled.rlhf.settings import load
    from sampled.rlhf.settings import preset as settings_of

    measured = load(rooms[0] / records.SETTINGS)
    given = settings_of(preset)
    wanted = _as(given, measured)
    rates = [
        json.loads(line)
        for room in rooms
        for line in (room / RATES).read_text(encoding="utf-8").splitlines()
    ]
    if not any(line["kind"] == "update" for line in rates):
        return "not measured: too few updates"
    found = estimated(wanted, measured, rates)
    updates = wanted.run.updates
    steps = updates * wanted.a2c.workers * wanted.a2c.steps
    return (
        f"{steps:,} steps at the preset's settings take {found.hours:.3g} hours of one core like this "
        f"one, of which the games alone {found.games:.3g}"
    )


def _as(given: "Settings", measured: "Settings") -> "Settings":
    """The preset in the reading of a run."""
    from dataclasses import replace

    return replace(given, run=replace(given.run, method=measured.run.method), pbrl=measured.pbrl)
