"""Lines of every kind in boxes of every kind: plain ones, those at faces, and their ends."""

import pytest

from gradkit import Axis, D, FiniteDifference, Grid, Neumann, Stencil
from gradkit.engines.cpu import compiled

from .conftest import compare
from .test_compiled import values


def test_blocks_of_rows_without_differences():
    # Far beyond the wall both points are replaced by the same value.
    grid = Grid(Axis(boundary=Neumann(0.0)), Axis(0.3))
    plan = (D(0, stencil=Stencil((100, 101), 1)) + D(1)).on(grid, (150, 40))
    block = plan.block(((120, 121), (0, 40)), plan.halo, [])
    compare(block, [values(s) for s in block.input_shapes])


def test_boxes_that_end_within_the_last_places_of_a_line():
    # The first box ends behind its last plain element, and the second one has none.
    plan = D(1).on(Grid(Axis(), Axis(0.3)), (3, 2049), method=FiniteDifference(4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "_lengths", lambda launches, threads: [3, 2048])
        compare(plan, [values(plan.shape)])
    # Such boxes as there are.
    plan = (D(0) + D(1)).on(Grid(*[Axis(0.3)] * 2), (6, 6593), method=FiniteDifference(4))
    compare(plan, [values(plan.shape)])
