"""The demonstration: slope, aspect and curvature of real terrain, and a picture of them.

The terrain is the digital elevation model of the Jacksboro fault in Tennessee that matplotlib
ships: whole metres on a grid of longitudes and latitudes, a few seconds of arc apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import gradkit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Row",
    "Terrain",
    "aspect",
    "draw",
    "hillshade",
    "load_terrain",
    "mean_curvature",
    "metres_per_degree",
    "slope",
    "slopes",
    "summary",
    "terrain_of",
]

#: A file name of matplotlib's sample data.
SAMPLE = "jacksboro_fault_dem.npz"

#: Semi-major axis in metres and flattening of the ellipsoid WGS 84 [NIMA TR8350.2].
WGS84_AXIS = 6378137.0
WGS84_FLATTENING = 1 / 298.257223563

#: Where the light of a hillshade comes from: clockwise from north, and above the horizon.
SUN_AZIMUTH = 315.0
SUN_ALTITUDE = 45.0


class Terrain(NamedTuple):
    """Elevations on a grid, and the size of its cells.

    Attributes
    ----------
    elevation : ndarray, shape (rows, columns)
        In metres. Row 0 is the northernmost, column 0 the westernmost.
    dy : ndarray, shape (rows, 1)
        Distance in metres from a row to the next one, at that row.
    dx : ndarray, shape (rows, 1)
        Distance in metres from a column to the next one, in each row.
    """

    elevation: np.ndarray
    dy: np.ndarray
    dx: np.ndarray


class Row(NamedTuple):
    """One line of the table: a quantity, its unit, its smallest, mean and largest value."""

    quantity: str
    unit: str
    minimum: float
    mean: float
    maximum: float


# --- the data -----------------------------------------------------------------------------------


def metres_per_degree(latitude: Any) -> tuple[Any, Any]:
    """Length of one degree of latitude and of one degree of longitude on the ellipsoid WGS 84.

    Parameters
    ----------
    latitude : float or ndarray
        In degrees.

    Returns
    -------
    north, east : float or ndarray
        In metres per degree.

    Notes
    -----
    ``pi / 180`` times the radius of curvature of the meridian, ``a (1 - e2) / w**3``, and of the
    parallel, ``a cos(latitude) / w``, where ``w = sqrt(1 - e2 sin(latitude)**2)`` [1]_.

    References
    ----------
    .. [1] J. P. Snyder, Map projections: a working manual, U.S. Geological Survey Professional
       Paper 1395 (1987), chapter 4.

    Examples
    --------
    >>> north, east = metres_per_degree(45.0)
    >>> round(float(north)), round(float(east))
    (111132, 78847)
    """
    phi = np.radians(latitude)
    e2 = WGS84_FLATTENING * (2 - WGS84_FLATTENING)
    w = np.sqrt(1 - e2 * np.sin(phi) ** 2)
    north = np.radians(WGS84_AXIS * (1 - e2) / w**3)
    east = np.radians(WGS84_AXIS * np.cos(phi) / w)
    return north, east


def terrain_of(elevation: np.ndarray, north_edge: float, dlat: float, dlon: float) -> Terrain:
    """Terrain on a grid of longitudes and latitudes.

    Parameters
    ----------
    elevation : ndarray, shape (rows, columns)
        In metres, row 0 in the north.
    north_edge : float
        Latitude in degrees of the northern edge of row 0; its cells lie half a `dlat` below.
    dlat, dlon : float
        Size of a cell in degrees.

    Notes
    -----
    The columns converge towards the pole: a cell is narrower in the north than in the south. The
    spacing along a row is one number for each row, so rows are a batch: gradkit differentiates
    all of them with the spacing 1 (a cell), and each row of the result is divided by its own
    `dx`. Taking the mean latitude for all rows instead would be wrong by up to 0.2 % here.
    """
    rows = np.arange(elevation.shape[0])[:, np.newaxis]
    north, east = metres_per_degree(north_edge - (rows + 0.5) * dlat)
    return Terrain(elevation, dlat * north, dlon * east)


def load_terrain() -> Terrain:
    """Terrain around the Jacksboro fault, from matplotlib's sample data.

    Returns
    -------
    Terrain
        344 rows by 403 columns of int16.

    Notes
    -----
    In the file ``ymax`` (36.446) is the northern edge and rows go south from there. Its ``ymin``
    (36.733) is ``ymax`` plus, not minus, the height of the grid: with row 0 at ``ymax`` the
    highest cell (1076 m) is the summit of Cross Mountain, 36.1983 N 84.2306 W, 1077 m; any other
    reading puts it at least 30 km away.
    """
    from matplotlib.cbook import get_sample_data

    with np.load(get_sample_data(SAMPLE, asfileobj=False)) as file:
        dlat, dlon = float(file["dy"]), float(file["dx"])
        return terrain_of(file["elevation"], float(file["ymax"]), dlat, dlon)


# --- the quantities -----------------------------------------------------------------------------


def slopes(terrain: Terrain) -> tuple[np.ndarray, np.ndarray]:
    """Rise towards the north and towards the east, in metres per metre.

    The spacing along the rows is negative, because north is the direction of decreasing rows.
    """
    north, east = gradkit.gradient(terrain.elevation, -1.0, 1.0, edge_order=2)
    return north / terrain.dy, east / terrain.dx


def slope(terrain: Terrain) -> np.ndarray:
    """Angle between the ground and the horizontal, in degrees: 0 is flat, 90 a wall."""
    return np.degrees(np.arctan(np.hypot(*slopes(terrain))))


def aspect(terrain: Terrain) -> np.ndarray:
    """Direction in which the ground falls, in degrees clockwise from north; NaN where it is flat.

    North is 0, east 90, south 180, west 270.
    """
    north, east = slopes(terrain)
    # A tiny negative angle plus 360 rounds to 360, which is 0 again.
    direction = np.degrees(np.arctan2(-east, -north)) % 360 % 360
    return np.where((north == 0) & (east == 0), np.nan, direction)


def mean_curvature(terrain: Terrain) -> np.ndarray:
    """Mean curvature of the surface, in 1/km: positive on ridges, negative in valleys.

    Notes
    -----
    ``H = -((1 + q**2) r - 2 p q s + (1 + p**2) t) / (2 (1 + p**2 + q**2)**(3/2))``, where p and q
    are the slopes towards east and north, and r, s and t the second derivatives, east-east,
    east-north and north-north [1]_. The top of a dome of radius R has ``H = 1 / R``.

    How the size of a cell changes from row to row is left out of the second derivatives: that is
    the slope times ``tan(latitude)`` over the radius of the earth, 1e-4 per km at most.

    References
    ----------
    .. [1] I. V. Florinsky, An illustrated introduction to general geomorphometry, Progress in
       Physical Geography 41 (2017) 723-752.
    """
    q, p = slopes(terrain)
    (north_north, north_east), (_, east_east) = gradkit.hessian(terrain.elevation, -1.0, 1.0)
    r = east_east / terrain.dx**2
    s = north_east / (terrain.dx * terrain.dy)
    t = north_north / terrain.dy**2
    twice = -((1 + q**2) * r - 2 * p * q * s + (1 + p**2) * t) / (1 + p**2 + q**2) ** 1.5
    return 1000 * twice / 2


def hillshade(terrain: Terrain) -> np.ndarray:
    """Light that the ground receives from the sun: 1 where it faces the sun, 0 in the shade.

    The cosine of the angle between the normal of the ground and the direction of the sun, which
    stands in the north-west, 45 degrees above the horizon; cast shadows are left out.
    """
    north, east = slopes(terrain)
    azimuth, altitude = np.radians(SUN_AZIMUTH), np.radians(SUN_ALTITUDE)
    sideways = -(north * np.cos(azimuth) + east * np.sin(azimuth)) * np.cos(altitude)
    cosine = (sideways + np.sin(altitude)) / np.sqrt(1 + north**2 + east**2)
    return np.maximum(cosine, 0)


def summary(terrain: Terrain) -> list[Row]:
    """Smallest, mean and largest value of each quantity; the mean of the aspect is circular."""
    falls = aspect(terrain)
    falls = falls[~np.isnan(falls)]
    direction = np.exp(1j * np.radians(falls)).mean() if falls.size else complex(np.nan)
    circular_mean = float(np.degrees(np.angle(direction))) % 360 % 360
    return [
        _row("elevation", "m", terrain.elevation),
        _row("slope", "degrees", slope(terrain)),
        _row("aspect", "degrees from north", falls)._replace(mean=circular_mean),
        _row("mean curvature", "1/km", mean_curvature(terrain)),
    ]


def _row(quantity: str, unit: str, values: np.ndarray) -> Row:
    if values.size == 0:
        return Row(quantity, unit, np.nan, np.nan, np.nan)
    return Row(quantity, unit, float(values.min()), float(values.mean()), float(values.max()))


# --- the picture --------------------------------------------------------------------------------


def draw(terrain: Terrain) -> Figure:
    """Hillshade, slope and mean curvature side by side, north up.

    Parameters
    ----------
    terrain : Terrain
        What to draw.

    Returns
    -------
    matplotlib.figure.Figure
        On an Agg canvas, without `matplotlib.pyplot`: no display is needed. Save it with
        ``figure.savefig``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 6.9), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    shade, steepness, bend = figure.subplots(1, 3, sharex=True, sharey=True)
    curvature = mean_curvature(terrain)
    # A few cells are bent much more than all others: they would take the whole colour scale.
    limit = float(np.percentile(abs(curvature), 98)) or 1.0
    _panel(shade, terrain, hillshade(terrain), "illumination (1 = facing the sun)", None, "gray")
    _panel(steepness, terrain, slope(terrain), "slope (degrees)", None, "inferno")
    _panel(bend, terrain, curvature, "mean curvature (1/km)", limit, "RdBu_r")
    figure.suptitle("Terrain around the Jacksboro fault, Tennessee, differentiated by gradkit")
    shade.set_title("Hillshade, sun in the north-west")
    steepness.set_title("Slope")
    bend.set_title("Mean curvature: ridges red, valleys blue")
    shade.set_ylabel("northing (km)")
    return figure


def _panel(
    axes: Axes,
    terrain: Terrain,
    values: np.ndarray,
    label: str,
    limit: float | None,
    colours: str,
) -> None:
    """One map with kilometres along its sides and a colour bar below it.

    The colours span ``-limit`` to ``limit``, or all values where it is None.
    """
    width = float(terrain.dx.mean()) * values.shape[1] / 1000
    height = float(terrain.dy.sum()) / 1000
    image = axes.imshow(
        values,
        cmap=colours,
        vmin=None if limit is None else -limit,
        vmax=limit,
        origin="upper",
        extent=(0, width, 0, height),
        interpolation="nearest",
    )
    axes.set_xlabel("easting (km)")
    extend = "neither" if limit is None else "both"
    axes.figure.colorbar(image, ax=axes, label=label, extend=extend, location="bottom", aspect=30)
