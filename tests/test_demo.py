"""The terrain of the demonstration: georeference, slope, aspect, curvature, shade, picture."""

import numpy as np
import pytest

from gradkit import demo


def degree_by_series(latitude):
    """Metres per degree of latitude and of longitude on WGS 84, by the published series.

    The truncated series agrees with the ellipsoid to 0.6e-6.
    """
    phi = np.radians(latitude)
    north = (
        111132.92 - 559.82 * np.cos(2 * phi) + 1.175 * np.cos(4 * phi) - 0.0023 * np.cos(6 * phi)
    )
    east = 111412.84 * np.cos(phi) - 93.5 * np.cos(3 * phi) + 0.118 * np.cos(5 * phi)
    return north, east


def terrain_from(function, rows=31, columns=41, dy=92.0, dx=75.0):
    """Terrain with the elevation function(east, north), in metres from the south-west corner."""
    north = dy * np.arange(rows)[::-1, np.newaxis]
    east = dx * np.arange(columns)[np.newaxis, :]
    cells = np.ones((rows, 1))
    return demo.Terrain(function(east, north) + np.zeros((rows, columns)), dy * cells, dx * cells)


@pytest.fixture(scope="module")
def terrain():
    return demo.load_terrain()


# --- the grid -----------------------------------------------------------------------------------


@pytest.mark.parametrize("latitude", [-80.0, -33.3, 0.0, 15.0, 36.3, 60.0, 89.0])
def test_metres_per_degree_agree_with_the_published_series(latitude):
    north, east = demo.metres_per_degree(latitude)
    expected_north, expected_east = degree_by_series(latitude)
    assert north == pytest.approx(expected_north, rel=1e-6)
    # The error of the series is relative to a degree at the equator.
    assert east == pytest.approx(expected_east, abs=1e-6 * 111320)


@pytest.mark.parametrize(
    ("latitude", "north", "east"),
    # Kilometres per degree as the tables of the ellipsoid give them, to the metre.
    [(0, 110.574, 111.320), (30, 110.852, 96.486), (60, 111.412, 55.800), (90, 111.694, 0.0)],
)
def test_metres_per_degree_agree_with_published_tables(latitude, north, east):
    found = np.array(demo.metres_per_degree(latitude)) / 1000
    np.testing.assert_allclose(found, [north, east], rtol=0, atol=0.0006)


def test_the_sample_is_the_expected_grid_of_whole_metres(terrain):
    assert terrain.elevation.dtype == np.int16
    assert terrain.elevation.shape == (344, 403)
    assert terrain.dx.shape == terrain.dy.shape == (344, 1)
    # Three seconds of arc.
    np.testing.assert_allclose(terrain.dy, 111000 / 1200, rtol=1e-3)


def test_the_highest_cell_is_the_summit_of_cross_mountain(terrain):
    # 36 deg 11' 54" N, 84 deg 13' 50" W, 1077 m: the only check of the file's ymin and ymax, which
    # contradict each other. The width of a cell tells the latitude of its row: neighbours differ
    # by 1.1e-5 of it, the series is good to 0.6e-6.
    row, column = np.unravel_index(terrain.elevation.argmax(), terrain.elevation.shape)
    latitude, longitude = 36 + 11 / 60 + 54 / 3600, -84 - 13 / 60 - 50 / 3600
    width = degree_by_series(latitude)[1] / 1200
    assert terrain.elevation[row, column] == 1076
    assert abs(terrain.dx[:, 0] - width).argmin() == row
    # The western edge of the file, xmin.
    assert -84.41375 + (column + 0.5) / 1200 == pytest.approx(longitude, abs=0.5 / 1200)


def test_rows_go_south_so_cells_get_wider(terrain):
    assert (np.diff(terrain.dx, axis=0) > 0).all()


def test_every_row_has_the_spacing_of_its_own_latitude():
    # An elevation of 1000 m per degree of longitude, near 60 N, where 4 degrees matter.
    longitude = 0.1 * np.arange(7)
    elevation = 1000 * longitude * np.ones((40, 1))
    terrain = demo.terrain_of(elevation, 62.0, 0.1, 0.1)
    _, east = demo.slopes(terrain)
    latitude = 62 - 0.05 - 0.1 * np.arange(40)
    expected = 1000 / degree_by_series(latitude)[1]
    np.testing.assert_allclose(east, expected[:, np.newaxis] * np.ones(7), rtol=2e-6)
    assert east[0, 0] / east[-1, 0] > 1.1


# --- planes -------------------------------------------------------------------------------------

# Rise towards east and north, and the direction in which the plane falls.
PLANES = [
    (0.0, -0.1, 0),
    (-0.1, -0.1, 45),
    (-0.1, 0.0, 90),
    (-0.1, 0.1, 135),
    (0.0, 0.1, 180),
    (0.1, 0.1, 225),
    (0.1, 0.0, 270),
    (0.1, -0.1, 315),
]


@pytest.mark.parametrize(("east", "north", "direction"), PLANES)
def test_aspect_of_a_plane_is_the_direction_in_which_it_falls(east, north, direction):
    found = demo.aspect(terrain_from(lambda x, y: 500 + east * x + north * y))
    # Heights of 1000 m are rounded to 1e-13 m, differences over 150 m to 1e-15, angles to 1e-14
    # of 0.1 rad; on the circle, because 0 and 360 are one direction.
    turn = (found - direction + 180) % 360 - 180
    np.testing.assert_allclose(turn, 0, rtol=0, atol=1e-10)
    assert (found >= 0).all()
    assert (found < 360).all()


@pytest.mark.parametrize(("east", "north", "direction"), PLANES)
def test_slope_of_a_plane(east, north, direction):
    found = demo.slope(terrain_from(lambda x, y: 500 + east * x + north * y))
    # arctan(0.1) and arctan(0.1 sqrt(2)) in degrees, by mpmath.
    expected = 5.710593137499643 if direction % 90 == 0 else 8.049466975528397
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_slopes_have_the_signs_of_the_compass():
    north, east = demo.slopes(terrain_from(lambda x, y: 0.25 * x - 0.5 * y))
    # Binary fractions: nothing is rounded.
    assert (north == -0.5).all()
    assert (east == 0.25).all()


def test_a_plane_is_not_curved():
    found = demo.mean_curvature(terrain_from(lambda x, y: 500 + 0.3 * x - 0.2 * y))
    # Second differences of heights rounded to 1e-13 m over 75 m squared, per km.
    np.testing.assert_allclose(found, 0, rtol=0, atol=1e-12)


def test_flat_ground_has_no_slope_no_aspect_and_no_curvature():
    flat = terrain_from(lambda x, y: 1000.1 + 0 * x)
    assert (demo.slope(flat) == 0).all()
    assert np.isnan(demo.aspect(flat)).all()
    assert (demo.mean_curvature(flat) == 0).all()
    np.testing.assert_allclose(demo.hillshade(flat), np.sqrt(0.5), rtol=1e-15)


def test_a_hair_west_of_north_is_less_than_360_degrees():
    # -5.7e-19 degrees + 360 rounds to 360.
    found = demo.aspect(terrain_from(lambda x, y: 1e-20 * x - 1.0 * y, columns=3, rows=3, dy=1.0))
    assert (found < 360).all()


# --- curved surfaces ----------------------------------------------------------------------------


def sphere(radius, sign):
    """A cap beside its summit, so that both slopes and the mixed derivative are not 0."""
    return lambda x, y: (
        sign * np.sqrt(radius**2 - (x + 0.2 * radius) ** 2 - (y - 0.4 * radius) ** 2)
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sphere_has_the_mean_curvature_of_its_radius_everywhere(sign):
    # A dome is a ridge in every direction: positive; a bowl is negative. Radius 2000 m: 0.5 / km.
    errors = []
    for refinement in (1, 2, 4):
        shape = {"rows": 20 * refinement + 1, "columns": 16 * refinement + 1}
        surface = terrain_from(
            sphere(2000.0, sign), **shape, dy=20 / refinement, dx=25 / refinement
        )
        errors.append(abs(demo.mean_curvature(surface) - sign * 0.5).max())
    # Second order, edges included: each halving divides the error by 4.
    slope = np.polyfit(np.log([1, 0.5, 0.25]), np.log(errors), 1)[0]
    assert slope == pytest.approx(2, abs=0.1)
    # Far below the curvature: the derivatives are those of the surface, not of another one.
    assert errors[-1] < 1e-3 * 0.5


def test_ridges_are_positive_and_valleys_negative():
    # Half the curvature of the one bent direction, 2 * 0.001 / m at the crest: 1 / km.
    ridge = demo.mean_curvature(terrain_from(lambda x, y: -0.001 * (x - 1500) ** 2))
    valley = demo.mean_curvature(terrain_from(lambda x, y: 0.001 * (y - 1380) ** 2))
    np.testing.assert_allclose(ridge[:, 20], 1.0, rtol=1e-9)
    np.testing.assert_allclose(valley[15], -1.0, rtol=1e-9)


# --- the real terrain against NumPy -------------------------------------------------------------


@pytest.fixture(scope="module")
def by_numpy(terrain):
    """Slopes towards east and north by numpy.gradient, and the sizes of the cells."""
    latitude = 36.44625 - (np.arange(344) + 0.5)[:, np.newaxis] / 1200
    dy, dx = (metres / 1200 for metres in degree_by_series(latitude))
    down, right = np.gradient(terrain.elevation.astype(float), edge_order=2)
    return right / dx, -down / dy, dx, dy


def test_slope_of_the_terrain_agrees_with_numpy(terrain, by_numpy):
    east, north, _, _ = by_numpy
    expected = np.degrees(np.arctan(np.sqrt(east**2 + north**2)))
    # The series for the size of a degree is good to 0.6e-6.
    np.testing.assert_allclose(demo.slope(terrain), expected, rtol=1e-6, atol=1e-12)


def test_aspect_of_the_terrain_agrees_with_numpy(terrain, by_numpy):
    east, north, _, _ = by_numpy
    flat = np.hypot(east, north) < 1e-12
    found = demo.aspect(terrain)
    assert (np.isnan(found) == flat).all()
    # The downslope direction as a complex number, real part north, imaginary part east.
    turn = np.angle(np.exp(1j * np.radians(found[~flat])) / -(north + 1j * east)[~flat])
    np.testing.assert_allclose(turn, 0, rtol=0, atol=1e-6)


def test_curvature_of_the_terrain_agrees_with_the_shape_operator(terrain, by_numpy):
    east, north, dx, dy = (
        field[1:-1, 1:-1] if field.shape[1] > 1 else field[1:-1] for field in by_numpy
    )
    z = terrain.elevation.astype(float)
    inner = np.s_[1:-1, 1:-1]
    xx = (z[1:-1, 2:] - 2 * z[inner] + z[1:-1, :-2]) / dx**2
    yy = (z[2:, 1:-1] - 2 * z[inner] + z[:-2, 1:-1]) / dy**2
    xy = (z[:-2, 2:] - z[:-2, :-2] - z[2:, 2:] + z[2:, :-2]) / (4 * dx * dy)
    # Half the trace of the shape operator: first fundamental form under the second one.
    first = np.stack([1 + east**2, east * north, east * north, 1 + north**2], -1)
    second = np.stack([xx, xy, xy, yy], -1) / np.sqrt(1 + east**2 + north**2)[..., None]
    square = (*xx.shape, 2, 2)
    operator = np.linalg.solve(first.reshape(square), second.reshape(square))
    expected = -1000 * np.trace(operator, axis1=-2, axis2=-1) / 2
    np.testing.assert_allclose(demo.mean_curvature(terrain)[inner], expected, rtol=1e-5, atol=1e-6)


# --- light --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("towards", "steepness", "light"),
    [
        ("north-west", 1.0, 1.0),  # perpendicular to the light, 45 degrees above the horizon
        ("south-east", 1.0, 0.0),  # along the light
        ("south-east", 3.0, 0.0),  # turned away from it
        ("north-west", 0.0, 0.7071067811865476),
    ],
)
def test_ground_that_falls_towards_the_sun_is_bright(towards, steepness, light):
    sign = -1 if towards == "north-west" else 1
    # Falls towards the north-west: rises towards the east and falls towards the north.
    rise = -sign * steepness / np.sqrt(2)
    found = demo.hillshade(terrain_from(lambda x, y: rise * x - rise * y))
    np.testing.assert_allclose(found, light, rtol=1e-12, atol=1e-12)


# --- the table ----------------------------------------------------------------------------------


def test_the_table_names_units_and_ranges(terrain):
    rows = {row.quantity: row for row in demo.summary(terrain)}
    units = {name: row.unit for name, row in rows.items()}
    assert units == {
        "elevation": "m",
        "slope": "degrees",
        "aspect": "degrees from north",
        "mean curvature": "1/km",
    }
    assert rows["elevation"][2:] == (236.0, terrain.elevation.mean(), 1076.0)
    assert rows["slope"].minimum == 0
    assert 30 < rows["slope"].maximum < 45


def test_the_mean_aspect_is_a_mean_of_directions():
    # A ridge along a slope that falls to the north: aspects 10, 0 and 350 degrees, mean north.
    tilt = np.tan(np.radians(10))
    roof = terrain_from(lambda x, y: -0.2 * y - 0.2 * tilt * abs(x - 1500))
    aspects = {row.quantity: row for row in demo.summary(roof)}["aspect"]
    assert aspects.maximum == pytest.approx(350, abs=1e-9)
    assert (aspects.mean + 180) % 360 - 180 == pytest.approx(0, abs=1e-9)


def test_the_table_of_flat_ground_has_no_aspect():
    rows = {row.quantity: row for row in demo.summary(terrain_from(lambda x, y: 0 * x))}
    assert np.isnan(rows["aspect"][2:]).all()
    assert rows["slope"][2:] == (0, 0, 0)


# --- the picture --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def figure(terrain):
    return demo.draw(terrain)


def test_the_picture_has_three_labelled_maps(figure):
    maps = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title().split()[0].strip(":,") for axes in maps] == [
        "Hillshade",
        "Slope",
        "Mean",
    ]
    assert [axes.get_xlabel() for axes in maps] == ["easting (km)"] * 3
    assert maps[0].get_ylabel() == "northing (km)"


def test_the_colour_bars_name_their_units(figure):
    labels = [image.colorbar.ax.get_xlabel() for axes in figure.axes for image in axes.images]
    assert labels == [
        "illumination (1 = facing the sun)",
        "slope (degrees)",
        "mean curvature (1/km)",
    ]


def test_the_maps_show_their_quantities_north_up_and_to_scale(figure, terrain):
    images = [image for axes in figure.axes for image in axes.images]
    shown = [demo.hillshade(terrain), demo.slope(terrain), demo.mean_curvature(terrain)]
    for image, values in zip(images, shown, strict=True):
        np.testing.assert_array_equal(image.get_array(), values)
        assert image.origin == "upper"
        assert image.axes.get_aspect() == 1
        # 403 columns of 74.85 m and 344 rows of 92.47 m.
        np.testing.assert_allclose(image.get_extent(), [0, 30.16, 0, 31.81], atol=0.01)


def test_zero_curvature_has_the_middle_colour_and_outliers_do_not_take_the_scale(figure, terrain):
    image = next(axes.images[0] for axes in figure.axes if axes.get_title().startswith("Mean"))
    low, high = image.get_clim()
    assert low == -high
    share = (abs(demo.mean_curvature(terrain)) > high).mean()
    assert 0.001 < share < 0.05


def test_flat_ground_can_be_drawn():
    import io

    demo.draw(terrain_from(lambda x, y: 0 * x)).savefig(io.BytesIO(), format="png", dpi=40)


def test_the_picture_needs_no_display_and_no_pyplot(fresh_python):
    code = (
        "import io, sys\n"
        "from gradkit import demo\n"
        "figure = demo.draw(demo.load_terrain())\n"
        "print(type(figure.canvas).__name__, 'matplotlib.pyplot' in sys.modules)"
    )
    assert fresh_python(code).split() == ["FigureCanvasAgg", "False"]
