"""Every result is written, once: kernels that count instead write 1 everywhere."""

import numpy as np
import pytest

from gradkit import (
    Axis,
    Curl,
    D,
    Dirichlet,
    Divergence,
    FiniteDifference,
    Gradient,
    Grid,
    Laplacian,
    Operator,
)
from gradkit.engines.cuda.launch import launched, prepared
from gradkit.engines.cuda.layout import layout
from gradkit.engines.cuda.source import source

from .conftest import Host

#: What a kernel writes, and what stands there one write later.
RESULT, COUNT = "{{Result<T>::of(a.v[E])...}}", "{{(T)(p[E] + 1)...}}"
ONE_SIDED, LOOP, NONE = Axis(0.3), Axis(0.3, boundary="periodic"), None
ROUGH = Axis(coordinates=np.cumsum(np.arange(1.0, 41)))
WALLS = Axis(0.3, boundary=(Dirichlet(2.0), "one-sided"))
#: Operators, axes and shapes: rows of several blocks, of one vector, shorter than both ends, of odd
#: lengths, along walking and other axes, and more or fewer results than cells.
CASES = {
    "line": (D(0), [ONE_SIDED], (2051,)),
    "short line": (D(0), [ONE_SIDED], (5,)),
    "loop": (D(0, 2), [LOOP], (2048,)),
    "rows of vectors": (D(1), [NONE, ONE_SIDED], (9, 2056)),
    "odd rows": (D(1) + D(0), [ONE_SIDED, ONE_SIDED], (11, 515)),
    "rows of one vector": (D(1) + D(0), [LOOP, ONE_SIDED], (40, 4)),
    "rows as long as both ends": (Laplacian(2), [LOOP, LOOP], (70, 8)),
    "rows of one": (D(0) + D(1), [ONE_SIDED, LOOP, NONE], (40, 6, 1)),
    "along the first axis": (D(0), [ONE_SIDED, NONE, NONE], (70, 3, 40)),
    "coordinates": (D(0) + D(1), [ROUGH, ROUGH], (40, 40)),
    "walls": (Laplacian(2), [WALLS, WALLS], (33, 264)),
    "space": (Laplacian(3), [ONE_SIDED, LOOP, ONE_SIDED], (13, 9, 132)),
    "space, the middle axis": (D(1, 4) + D(2), [NONE, ONE_SIDED, LOOP], (3, 40, 136)),
    "the second of four axes": (D(1, 2) + D(3), [NONE, ONE_SIDED, NONE, LOOP], (3, 41, 5, 20)),
    "several results": (Gradient(3), [ONE_SIDED, LOOP, ONE_SIDED], (9, 10, 72)),
    "several inputs": (Divergence(3), [LOOP, ONE_SIDED, LOOP], (9, 10, 36)),
    "threads for wide rows": (Curl(3), [ONE_SIDED, ONE_SIDED, LOOP], (9, 20, 72)),
    "four axes": (Laplacian(4), [ONE_SIDED, LOOP, LOOP, ONE_SIDED], (5, 6, 7, 12)),
    "faces": (
        Operator.matrix([[D(0, to="outer")], [D(1, to="inner")], [D(0)]]),
        [ONE_SIDED, ONE_SIDED],
        (20, 130),
    ),
}


class Counting(Host):
    """A device whose kernels add 1 to what they would write."""

    def text(self, key):
        text = source(key)
        assert text.count(RESULT) == 1
        return text.replace(RESULT, COUNT)


@pytest.mark.parametrize("accuracy", [2, 4])
@pytest.mark.parametrize("case", CASES)
def test_each_result_is_written_once(kernels, monkeypatch, case, accuracy):
    operator, axes, shape = CASES[case]
    plan = operator.on(Grid(*axes), shape, method=FiniteDifference(accuracy), edge_order=1)
    for shift, most, dtype in ((0, 65535, "float32"), (0, 1, "float64"), (1, 65535, "float32")):
        monkeypatch.setattr("gradkit.engines.cuda.launch.MOST_BLOCKS", most)
        device = Counting(kernels, shift)
        inputs = [np.ones(shape, dtype) for shape in plan.input_shapes]
        made = prepared(plan, inputs, device)
        assert not isinstance(made, str), made
        for enough in (1, 3, 4096):
            monkeypatch.setattr("gradkit.engines.cuda.layout.ENOUGH_BLOCKS", enough)
            made.launches.clear()
            out = [device.empty(shape, dtype) for shape in plan.output_shapes]
            for result in out:
                result[...] = 0
            launched(plan, inputs, made, device, out)
            for result in out:
                np.testing.assert_array_equal(result, 1)
            ((key, *_),) = device.launches[-1:]
            assert key.is_flat is (most == 1 and max(layout(key, made.numbers.sizes).grid[1:]) > 1)
