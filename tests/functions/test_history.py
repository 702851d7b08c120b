"""What ladders tell about each other: values that share steps, noise, waves, kinks, long steps."""

import numpy as np
import pytest

from gradkit.functions import derivative, jacobian

from .scaled import scaled


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_entry_of_a_badly_scaled_jacobian_is_silently_wrong(dtype, sparse):
    ratios, succeeded = [], []
    for seed in range(12):
        func = scaled(seed, dtype)
        result = jacobian(func, func.x, **({"sparsity": func.pattern} if sparse else {}))
        parts = (result.value, result.error, result.success)
        value, error, success = ((p.toarray() if sparse else p)[func.pattern] for p in parts)
        off = abs(value - func.jacobian[func.pattern])
        # A term that changes no bit of its sum cannot be seen.
        assert np.all((off <= 1000 * error) | ~success)
        ratios.append(off <= 10 * error)
        succeeded.append(success)
    assert np.mean(np.concatenate(ratios)) >= 0.98
    assert np.mean(np.concatenate(succeeded)) >= (0.9 if dtype == "float64" else 0.85)


def test_a_value_that_is_settled_stays_as_it_is_found_alone():
    # Rounding drives the second value to steps over which the wave of the first is not seen.
    x = 1e-5

    def easy(t):
        return 1e3 * t + np.sin(t / 1e-5)

    def hard(t):
        return 1e9 + t

    both = jacobian(lambda z: np.stack([easy(z[0]), hard(z[0])]), [x])
    assert both.value[0, 0] == derivative(easy, x).value
    assert both.value[0, 0] == pytest.approx(1e3 + 1e5 * np.cos(1.0), rel=1e-9)
    assert both.step[1, 0] > 1e3 * both.step[0, 0]


@pytest.mark.parametrize(("height", "rate"), [(1e-3, 1e4), (1e-2, 300.0), (1e-3, 1e3), (1e-6, 1e6)])
def test_waves_much_shorter_than_the_steps_are_no_noise(height, rate):
    x = np.asarray([1e-3, 0.01, 0.3, 1.0, 1.7, 5.0, 100.0])
    result = derivative(lambda t: t + height * np.sin(rate * t), x)
    slope = 1 + height * rate * np.cos(rate * x)
    assert np.all(abs(result.value - slope) <= 10 * result.error)
    assert np.all(result.error < 0.1)


def test_shorter_steps_belie_what_longer_ones_chanced_upon():
    # The first ladder of this wave looks like a series that converges, to another slope.
    x, height, rate = np.float32([0.3939, 0.0105, 674.0])
    result = derivative(lambda t: t + height * np.sin(rate * t), x)
    slope = 1 + float(height) * float(rate) * np.cos(float(rate) * float(x))
    assert abs(result.value - slope) <= 10 * result.error


def test_noise_is_still_averaged_over_long_steps():
    def func(x):
        bits = x.view(np.uint64)
        mixed = (bits ^ (bits >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        return np.sin(x) + 1e-7 * ((mixed >> np.uint64(11)).astype(float) / 2**52 - 1)

    x = np.linspace(0.3, 3, 40)
    result = derivative(func, x)
    off = abs(result.value - np.cos(x))
    assert np.mean(off <= 10 * result.error) > 0.85
    assert np.all(off <= 1000 * result.error)
    assert np.median(off) < 2e-6  # over steps of 0.1, noise of 1e-7


@pytest.mark.parametrize("digits", [3, 6])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_rounded_values_are_no_success(order, digits):
    x = np.asarray([0.3, 1.0, 2.0])
    result = derivative(lambda t: np.round(np.sin(t), digits), x, order=order)
    true = np.sin(x + order * np.pi / 2)
    assert np.all(~result.success | (abs(result.value - true) <= 10 * result.error))
    assert np.all(abs(result.value - true) <= 100 * result.error)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_beside_a_kink_values_are_right_or_reported(dtype):
    eps = np.finfo(dtype).eps
    apart = np.concatenate([[eps, 4 * eps, 64 * eps], 10.0 ** np.arange(-6, 0)])
    apart = np.concatenate([-apart, apart]).astype(dtype)
    for centre in np.asarray([0, 1], dtype):

        def ramp(t, centre=centre):
            return np.maximum(t - centre, 0 * t)

        x = centre + apart
        result = derivative(ramp, x)
        right = abs(result.value - (x > centre)) <= 10 * result.error
        assert np.all(right | ~result.success)
        assert right[abs(apart) > 0.05].all()
        assert derivative(ramp, centre).status == "kink"


def test_long_steps_are_no_evidence_that_nothing_changes_over_short_ones():
    # In float32 the first steps see the slope beside as much noise; long ones see a constant.
    x = np.float32(3e-6)
    for height in np.float32([4e-7, 1e-6, 3e-6]):
        result = derivative(lambda t, a=height: 1 + a * np.tanh(t / x), x)
        slope = float(height) / float(x) / np.cosh(1.0) ** 2
        assert not result.success
        assert abs(result.value - slope) <= 10 * result.error


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_steps_that_only_rounding_is_seen_over_exclude_nothing(order):
    # About a tiny x the first steps are too short for a high order by many powers of ten.
    x = np.geomspace(1e-12, 1e-3, 40)
    result = derivative(lambda t: np.exp(t) + 1, x, order=order)
    assert result.success.all()
    assert np.all(abs(result.value - np.exp(x)) <= 10 * result.error)


def test_a_constant_over_long_waves_is_no_derivative():
    # In float32 steps of 0.1 are lost in rounding; those of 100 are longer than the wave.
    x = np.geomspace(1e-8, 1e-4, 40).astype(np.float32)
    result = derivative(np.sin, x, order=4)
    off = abs(result.value - np.sin(x.astype(float)))
    assert np.all((off <= 10 * result.error) | ~result.success)


def test_rounding_counts_but_once_however_many_ladders_show_it():
    x = np.geomspace(1e-9, 1e-5, 30)
    result = derivative(lambda t: 1000 + np.cos(t), x, order=2, method="forward")
    assert result.success.all()
    assert np.all(abs(result.value + np.cos(x)) <= 10 * result.error)
