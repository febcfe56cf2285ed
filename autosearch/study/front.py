"""The front of a study, computed once: what tables, pictures, reports, picks and exports read."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from autosearch._typing import Array
from autosearch.objectives.base import compare
from autosearch.study.events import ReferenceMeasured, TeacherMeasured
from autosearch.study.hypervolume import UPPER, study_hypervolume
from autosearch.study.missing import early_end, infeasible_reasons, missing, unmet
from autosearch.study.point import STEPS, Axis, Point, Versus
from autosearch.study.ranking import Ranking, objective, objectives_of
from autosearch.study.selection import SearchFront
from autosearch.study.study import Candidate, Estimates, Noise, Study
from autosearch.study.teacher import teacher_data, within

__all__ = ["Front"]

# Of a reference, what is shown besides its values.
_REFERENCE = ("recipe", "source", "samples")


@dataclass(frozen=True, eq=False)
class Front:
    """A study's front with everything that is shown of it.

    Attributes:
        study: the study's name.
        model: the model's name.
        axes: the objectives in the experiment's order.
        points: those on the front by search or by validated values, the best of each cost, and
            folded ones; in the order of their numbers.
        baselines: named recipes; some are also among ``points``.
        folded_below: the baselines than which folded points are worse.
        reference: what full quality is; None where it was not measured.
        teacher: what distances to a fine trajectory are to, with its own error; of fresh noise
            where that was validated on. None where no objective asked for one.
        hypervolume: ``search`` and ``validated``, each between 0 and 1; None where there is none.
        hypervolume_left_out: whether so many points of so many objectives would take too long.
        searched_on: seed and samples of the search.
        validated_on: seed and samples of the validation that counts; None before.
        noise: ``common`` where all candidates of the search saw the same, else ``fresh``.
        fresh: estimates on fresh noise of all candidates that are validated together, by number.
        spending: what the study spent, by name.
        latency: how far predicted latencies are from measured ones; empty where none were.
        stopped: why the search ended.
        early_end: the same in a few words where that was before its budget was spent.
        lost: why the machinery could not validate some points, by number; on no front.
        reasons: how many candidates are infeasible for each reason, the commonest first.
        missing: what was asked for and is not there, each in a few words.
        unmet: why nothing is feasible; None where something is.
    """

    study: str
    model: str
    axes: Sequence[Axis]
    points: Sequence[Point]
    baselines: Sequence[Point]
    folded_below: Sequence[str] = ()
    reference: ReferenceMeasured | None = None
    teacher: TeacherMeasured | None = None
    hypervolume: Mapping[str, float | None] = field(default_factory=dict)
    hypervolume_left_out: bool = False
    searched_on: Noise = (0, 0)
    validated_on: Noise | None = None
    noise: str = "common"
    fresh: Mapping[int, Estimates] = field(default_factory=dict)
    spending: Mapping[str, Any] = field(default_factory=dict)
    latency: Mapping[str, float] = field(default_factory=dict)
    stopped: str | None = None
    early_end: str | None = None
    lost: Mapping[int, str] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    missing: Sequence[str] = ()
    unmet: str | None = None

    @classmethod
    def of(cls, study: Study) -> "Front":
        """The front of a study as its settings and results have it, however it was interrupted.

        Membership is decided on search values; where the front was validated it is decided again
        among what is validated together, and points that fall off name who overtook them. The
        best recipe of each cost is listed too, also where a cheaper one is better.
        """
        searched = SearchFront.of(study)
        pool, noise, fresh = searched.ranking, searched.validation(), {}
        lost: dict[str, str] = {}
        if noise is not None:
            values = ((c, study.validated(c, noise)) for c in searched.selection)
            fresh = {c.id: estimates for c, estimates in values if estimates}
            validated = [c for c in searched.selection if c.id in fresh]
            lost = study.lost_validations(noise)
            pool = Ranking.of(validated, objectives_of(study), lambda c: fresh[c.id])
        on_front = {pool.candidates[i].id for i in pool.front()}
        folded = {c.id for c in searched.folded}
        shown = {searched.ranking.candidates[i].id for i in searched.ranking.front()}
        shown |= {pool.candidates[members[0]].id for members in pool.per_cost()}
        shown |= on_front | folded
        baselines = [c.id for c in pool.candidates if c.kind == "baseline"]
        rows = {c.id: row for row, c in enumerate(pool.candidates)}

        def point(candidate: Candidate) -> Point:
            number = candidate.id
            beaten = number in shown and number not in on_front and number in rows
            return Point(
                id=number,
                baseline=candidate.name if candidate.kind == "baseline" else None,
                on_front=number in on_front,
                overtaken_by=pool.dominator(rows[number]) if beaten else None,
                folded=number in folded,
                search=candidate.values,
                validated=fresh.get(number, {}),
                samples=candidate.samples,
                load=lambda: study.recipe(candidate),
            )

        points = {i: point(study.candidates[i]) for i in sorted({*shown, *baselines})}
        experiment = study.experiment
        volume = study_hypervolume(study, searched.ranking.values)
        return cls(
            study=study.header.name,
            model=study.header.model_name,
            axes=tuple(Axis.of(name) for name in experiment.objectives),
            points=tuple(points[i] for i in sorted(shown)),
            baselines=tuple(points[i] for i in baselines),
            folded_below=searched.worst,
            reference=study.reference,
            teacher=study.teacher(noise) or study.teacher(),
            hypervolume={
                "search": volume,
                "validated": None if noise is None else study_hypervolume(study, pool.values),
            },
            hypervolume_left_out=study.scale is not None and volume is None,
            searched_on=(experiment.seed, experiment.samples),
            validated_on=noise,
            noise=experiment.noise,
            fresh=fresh,
            spending=_spending(study),
            latency=_latency(study, searched.selection if study.timings else ()),
            stopped=study.stops[-1] if study.stops else None,
            early_end=early_end(study),
            lost={c.id: lost[c.identity] for c in searched.selection if c.identity in lost},
            reasons=infeasible_reasons(study),
            missing=missing(study),
            unmet=unmet(study),
        )

    @property
    def title(self) -> str:
        """What was searched, on which model."""
        return self.study if self.study == self.model else f"{self.study} on {self.model}"

    @cached_property
    def by_number(self) -> dict[int, Point]:
        """:attr:`points` by their numbers."""
        return {point.id: point for point in self.points}

    @property
    def cost(self) -> Axis | None:
        """The first objective that a plan declares."""
        declared = (a for a in self.axes if a.name == STEPS or not objective(a.name).needs)
        return next(declared, None)

    @property
    def quality(self) -> Axis:
        """The first measured objective; without one, the first that is not the cost, or that."""
        measured = (a for a in self.axes if a.name != STEPS and objective(a.name).needs)
        others = (axis for axis in self.axes if axis != self.cost)
        return next(measured, None) or next(others, self.axes[0])

    @cached_property
    def front(self) -> list[Point]:
        """Points on the front, cheapest first."""
        return self.ordered([point for point in self.points if point.on_front])

    @cached_property
    def overtaken(self) -> list[Point]:
        """Points off the front: fallen on fresh noise, or no better than a cheaper one."""
        off = [p for p in self.points if not p.on_front and not p.folded]
        return self.ordered([p for p in off if p.id not in self.lost])

    @property
    def folded(self) -> list[Point]:
        """Points that would be on the front, but are worse than every named baseline."""
        return [point for point in self.points if point.folded]

    @property
    def shown(self) -> list[Point]:
        """All points and baselines that are not folded, each once."""
        visible = [*self.baselines, *self.front, *self.overtaken]
        return list({point.id: point for point in visible}.values())

    @cached_property
    def knee(self) -> Point | None:
        """The point where giving up a little of one objective buys the most of the others.

        Two objectives: the largest distance below the chord between the ends of the front, on
        axes scaled to 0..1, logarithmic where all values are positive (Das 1999; Branke et al.
        2004). Three or more: the smallest Euclidean distance to the ideal point, the best of each
        objective on its own, on the same axes (compromise programming, Yu 1973; Zeleny 1973),
        because the ends of such a front span no plane that all fronts share. So for fronts of
        fewer than three points too. Ties go to the better first objective. None of an empty front.
        """
        points = self.front
        if not points:
            return None
        scaled = np.stack([_scaled(points, axis) for axis in self.axes], axis=1)
        if len(self.axes) == 2 and len(points) > 2:
            # On these axes the ends lie at (0, 1) and (1, 0): the chord is x + y = 1.
            score = scaled.sum(axis=1)
        else:
            score = np.hypot.reduce(scaled, axis=1)
        return points[int(np.lexsort((scaled[:, 0], score.round(12)))[0])]

    def spread(self, most: int) -> list[Point]:
        """At most so many points of the front: its ends, its knee, and an even spread over cost."""
        points = self.front
        if len(points) <= most or self.knee is None:
            return points
        axes = [self.quality if self.cost is None else self.cost, self.quality]
        places, quality = (_scaled(points, axis) for axis in axes)
        kept = [points.index(self.knee), 0, len(points) - 1][:most]
        far = np.abs(places[:, None] - places[kept]).min(axis=1)
        while len(set(kept)) < most:
            far[kept] = -1.0
            # Of points that are as far from their neighbours, the better one.
            kept.append(int(np.lexsort((quality, -far))[0]))
            far = np.minimum(far, np.abs(places - places[kept[-1]]))
        return [points[i] for i in sorted(set(kept))]

    def ordered(self, points: Sequence[Point]) -> list[Point]:
        """Points by cost, then by quality, best first."""
        axes = [self.quality] if self.cost is None else [self.cost, self.quality]
        return sorted(points, key=lambda p: (*(a.signed(p.value(a.name)) for a in axes), p.id))

    @property
    def within_teacher(self) -> list[Point]:
        """What is shown and within the teacher's own error, which does not tell it apart."""
        if self.teacher is None:
            return []
        errors = self.teacher.errors
        return [p for p in self.shown if within(errors, {n: p.estimate(n) for n in p.names})]

    def axis(self, name: str) -> Axis | None:
        """The objective with a name; None where the front has none."""
        return next((axis for axis in self.axes if axis.name == name), None)

    def rival(self, point: Point) -> Point | None:
        """The best other baseline at the cost nearest to a point's; of all where there is none."""
        quality, cost = self.quality, self.cost

        def key(baseline: Point) -> tuple[float, float, float, int]:
            value = 0.0 if cost is None else baseline.value(cost.name)
            away = 0.0 if cost is None else abs(value - point.value(cost.name))
            return away, value, quality.signed(baseline.value(quality.name)), baseline.id

        return min((b for b in self.baselines if b.id != point.id), key=key, default=None)

    def is_best_baseline(self, point: Point) -> bool:
        """Whether a point is itself a baseline that no other at its cost is better than."""
        rival, name = self.rival(point), self.quality.name
        if point.baseline is None or rival is None:
            return point.baseline is not None
        apart = self.cost and rival.value(self.cost.name) != point.value(self.cost.name)
        return bool(apart) or not self.quality.better(rival.value(name), point.value(name))

    def versus(self, point: Point) -> Versus | None:
        """A point beside :meth:`rival`, in the front's quality; None without baselines."""
        rival, name = self.rival(point), self.quality.name
        if rival is None:
            return None
        if name in point.validated and name in rival.validated:
            ours, theirs, same_noise = point.validated[name], rival.validated[name], True
        else:
            ours, theirs = point.search[name], rival.search[name]
            same_noise = self.noise == "common" and point.samples == rival.samples
        if not same_noise or len(ours.pseudo) != len(theirs.pseudo):
            return Versus(rival, ours.value - theirs.value, None)
        return Versus(rival, *compare(ours, theirs))

    @cached_property
    def reference_values(self) -> Estimates:
        """What was measured of the reference; a distance to the teacher is not, of another one."""
        reference = self.reference
        if reference is None:
            return {}
        other = self.teacher is not None and self.teacher.recipe != reference.recipe
        errors = self.teacher.errors if self.teacher is not None and other else {}
        return {name: one for name, one in reference.values.items() if name not in errors}

    def reference_value(self, name: str) -> float | None:
        """The reference's value of an objective, where it was measured."""
        estimate = self.reference_values.get(name)
        return None if estimate is None else estimate.value

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as ``autosearch front --json`` prints it and ``front.json`` holds it."""
        reference: dict[str, Any] = {}
        if self.reference is not None:
            values = {
                name: {"value": estimate.value, "ci": list(estimate.interval())}
                for name, estimate in self.reference_values.items()
            }
            reference = {name: getattr(self.reference, name) for name in _REFERENCE}
            reference["values"] = values
        validated_on = self.validated_on or (None, None)
        return {
            "study": self.study,
            "model": self.model,
            "objectives": [asdict(axis) for axis in self.axes],
            "reference": reference,
            **(
                {}
                if self.teacher is None
                else {"teacher": teacher_data(self.teacher, (p.id for p in self.within_teacher))}
            ),
            "hypervolume": dict(self.hypervolume),
            "hypervolume_is": {"search": UPPER},
            "points": [self.point_data(point) for point in self.points],
            "baselines": [self.point_data(point) for point in self.baselines],
            "folded": {"count": len(self.folded), "below": list(self.folded_below)},
            "cost": dict(self.spending),
            **({"latency": dict(self.latency)} if self.latency else {}),
            "samples": {"search": self.searched_on[1], "validated": validated_on[1]},
            "seed": {"search": self.searched_on[0], "validated": validated_on[0]},
            "noise": self.noise,
            "stopped": self.stopped,
            "reasons": dict(self.reasons),
            "missing": list(self.missing),
        }

    def point_data(self, point: Point) -> dict[str, Any]:
        """A point as plain data."""
        versus = self.versus(point)
        return {
            "id": point.id,
            "recipe": point.recipe.to_dict(),
            "baseline": point.baseline,
            "on_front": point.on_front,
            "overtaken_by": point.overtaken_by,
            "folded": point.folded,
            "knee": self.knee is not None and point.id == self.knee.id,
            "versus": None
            if versus is None
            else {
                "baseline": versus.baseline.name,
                "objective": self.quality.name,
                "difference": versus.difference,
                "ci": None if versus.interval is None else list(versus.interval),
            },
            "values": {name: point.value_data(name) for name in point.names},
        }


def _scaled(points: Sequence[Point], axis: Axis) -> Array:
    """[N] values to be minimised, on 0..1 between the points' best and worst."""
    values = np.array([point.value(axis.name) for point in points], dtype=np.float64)
    if (values > 0).all():
        values = np.log10(values)
    signed = -values if axis.direction == "maximize" else values
    return np.asarray((signed - signed.min()) / (float(np.ptp(signed)) or 1.0))


def _latency(study: Study, candidates: Sequence[Candidate]) -> dict[str, float]:
    """How far predicted latencies of candidates are from those measured alone."""
    errors = [
        abs(c.values["latency"].value / study.timings[c.identity].value - 1)
        for c in candidates
        if c.identity in study.timings and "latency" in c.values
    ]
    if not errors:
        return {}
    median, largest = float(np.median(errors)), max(errors)
    return {"measured": len(errors), "median_error": median, "largest_error": largest}


def _spending(study: Study) -> dict[str, Any]:
    finished = [c for c in study.candidates.values() if c.finished]
    failed = sum(c.failed for c in finished)
    return {
        "candidates": len(finished),
        "duplicates_avoided": study.duplicates,
        "forward_equivalents": study.spent,
        "forward_equivalents_nominal": study.nominal_spent,
        "cuts": study.cuts,
        "failed": failed,
        "infeasible": sum(c.status == "infeasible" for c in finished) - failed,
        "seconds_proposing": round(study.proposing, 3),
        "phases": {name: round(seconds, 3) for name, seconds in study.phases.items()},
    }
