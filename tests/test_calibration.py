"The calibration error is right on average, its interval covers, and an estimate without labels never passes."
from types import SimpleNamespace as Config

import numpy as np
import pytest

from mlops_kit.calibration import BINS, EXPECTED, calibration_check, calibration_error, estimate_checks
from mlops_kit.performance import BINARY


def drawn(rng, n, off):
    "Probabilities that are too high by `off` everywhere, and what came"
    q = rng.beta(4, 4, n)*.8
    return q + off, (rng.random(n) < q)*1.


@pytest.mark.slow
@pytest.mark.parametrize('off', [.0, .02, .1])
def test_the_interval_covers(off):
    rng, hits, values = np.random.default_rng(2), 0, []
    for _ in range(500):
        value, low, high = calibration_error(*drawn(rng, 3000, off))
        hits += low <= off <= high
        values.append(value**2)
    assert hits/500 >= .93 and abs(np.mean(values) - off**2) < 3e-4


def test_ties_stay_together_and_few_rows_are_no_proof():
    p = np.repeat([.2, .8], 500)
    came = np.r_[np.ones(100), np.zeros(400), np.ones(400), np.zeros(100)]
    assert calibration_error(p, came)[0] < 1e-9
    assert calibration_check(came[:40], np.full(40, .5), .01).status in ('inconclusive', 'fail')
    assert BINS == 10


def test_several_classes_are_judged_by_the_answer_that_was_given():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([2, 2, 2], 4000)
    y = np.array([rng.choice(3, p=o) for o in p])
    sharp = p**3/(p**3).sum(1, keepdims=True)
    assert calibration_check(y, p, .04, task='multiclass').status == 'pass'
    assert calibration_check(y, sharp, .04, task='multiclass').reason == 'miscalibrated'


def test_what_is_expected_of_calibrated_probabilities_comes():
    rng = np.random.default_rng(1)
    p = rng.beta(2, 3, 200_000)
    y = rng.random(len(p)) < p
    for name, expected in EXPECTED['binary'].items(): assert expected(p) == pytest.approx(BINARY[name](y, p)[0], abs=.006), name


@pytest.mark.parametrize('task, p', [('binary', np.linspace(.1, .9, 50)), ('multiclass', np.full((50, 3), 1/3)), ('regression', np.arange(50.))])
def test_an_estimate_never_passes(task, p):
    name = dict(regression='rmse').get(task, 'accuracy')
    for bound in (dict(min=0., max=None), dict(min=None, max=99.), dict(min=None, max=None)):
        found = estimate_checks(p, Config(metrics={name: Config(**bound)}), task)
        assert {c.status for c in found} <= {'warn', 'inconclusive', 'error'} and found
    assert estimate_checks(p, Config(metrics={}), task)[0].reason == 'no_bound'
    assert estimate_checks(p*np.nan, Config(metrics={name: Config(min=0., max=None)}), task)[0].status == 'error'
