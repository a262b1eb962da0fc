"""How pictures look, and how they become files.

Every picture is one panel, as wide as a phone's screen or half a desktop page, so that its letters stay readable on
both. Colours are those of Okabe and Ito, which colour-blind readers can tell apart; lines differ in dashes or markers as
well."""
import contextlib
import io
import os
import re
import warnings
from dataclasses import dataclass

import matplotlib
import matplotlib.colors
import matplotlib.ticker
import numpy as np
from matplotlib.figure import Figure

from .command import Unusable

INK, MUTED, GRID, SOFT = "#1d1d1f", "#5c5c66", "#d9d9de", "#ededf0"
COLOUR = {"teacher": "#0072b2", "student": "#d55e00"}
OTHERS = ["#009e73", "#cc79a7", "#e69f00", "#56b4e9"]
# From a light tint to a deep shade of one colour: brightness alone tells the order.
SHADES = {
    "teacher": ("#d3e6f3", "#0072b2", "#00304d"),
    "student": ("#fbdfca", "#d55e00", "#5c2800"),
    "other": ("#d2efe5", "#009e73", "#003d2c"),
}
# Colours that the page replaces, so that pictures follow its light and dark modes.
TOKENS = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    SOFT: "--soft",
    COLOUR["teacher"]: "--teacher",
    COLOUR["student"]: "--student",
    **{colour: f"--series-{i}" for i, colour in enumerate(OTHERS)},
}
FONT = "'DejaVu Sans'"
WIDTH = 4.3  # inches of a panel

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.8,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
    "svg.fonttype": "none",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.parse_math": False,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-6, 9),
}


@dataclass
class Picture:
    """A figure with what a page needs beside it. name: of its file, without ending; alt: what it shows, in words."""

    name: str
    figure: Figure
    title: str
    alt: str
    caption: str = ""


@contextlib.contextmanager
def style():
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing"
        )  # names of classes in other scripts: the reader's fonts draw them
        yield


def panel(width=WIDTH, height=2.9):
    """A figure with one pair of axes."""
    with style():
        figure = Figure(figsize=(width, height))
        return figure, figure.subplots()


def styled(function):
    """All that a picture's function makes, it makes in our style."""

    def inside(*words, **named):
        with style():
            return function(*words, **named)

    inside.__doc__, inside.__name__ = function.__doc__, function.__name__
    return inside


def legend(axes, **where):
    """The legend above the axes, where it covers no data."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 0:
        axes.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            borderaxespad=0.1,
            **{"ncols": 2, "columnspacing": 1.4, "handlelength": 2.2, **where},
        )


def percent(axes, axis="y"):
    (axes.yaxis if axis == "y" else axes.xaxis).set_major_formatter(
        matplotlib.ticker.FuncFormatter(lambda value, _: f"{100 * value:g}")
    )


def whole(axes, axis="x"):
    """Ticks at whole numbers only."""
    (axes.yaxis if axis == "y" else axes.xaxis).set_major_locator(
        matplotlib.ticker.MaxNLocator(nbins=7, integer=True, min_n_ticks=1)
    )


def plain_log(axes, axis):
    """A logarithmic axis with numbers as people write them: 200, 10 k, 2 M."""
    set_scale, chosen = (axes.set_yscale, axes.yaxis) if axis == "y" else (axes.set_xscale, axes.xaxis)
    set_scale("log")
    low, high = axes.get_ylim() if axis == "y" else axes.get_xlim()
    decades = np.log10(high / low) if low > 0 else 9
    steps = (1, 1.5, 2, 3, 4, 5, 7) if decades < 0.7 else (1, 2, 5) if decades < 3 else (1,)
    chosen.set_major_locator(matplotlib.ticker.LogLocator(subs=steps, numticks=9))
    chosen.set_minor_locator(matplotlib.ticker.NullLocator())
    chosen.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: short(value)))


def short(value):
    """1234567 as 1.23 M."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def shades(name):
    return matplotlib.colors.LinearSegmentedColormap.from_list(name, SHADES[name])


def heat(axes, values, names, colours, columns=None, low=0, high=None, write=None):
    """A matrix as colours. NaN: left soft grey. names: of rows, and of columns unless these are given. write: the text
    of a cell as a function of row and column, used where the cells are large enough."""
    rows, width = values.shape
    columns = names if columns is None else columns
    axes.set_facecolor(SOFT)
    axes.grid(False)
    high = max(np.nanmax(values, initial=0), 1e-12) if high is None else high
    if rows <= 40:
        image = axes.pcolormesh(np.ma.masked_invalid(values), cmap=colours, vmin=low, vmax=high)
    else:
        image = axes.imshow(
            np.ma.masked_invalid(values),
            cmap=colours,
            vmin=low,
            vmax=high,
            aspect="auto",
            interpolation="nearest",
            extent=(0, width, rows, 0),
        )
    axes.set_ylim(rows, 0)
    axes.set_xlim(0, width)
    class_ticks(axes.yaxis, names)
    class_ticks(axes.xaxis, columns)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, pad=5)
    for row, column in np.ndindex(rows, width) if max(rows, width) <= 12 and write else ():
        value = values[row, column]
        dark = np.isfinite(value) and luminance(image.cmap(image.norm(value))) < 0.45
        colour = INK if not np.isfinite(value) else "#ffffff" if dark else "#000000"
        axes.text(
            column + 0.5,
            row + 0.5,
            write(row, column),
            ha="center",
            va="center_baseline",
            size=8.2 if width > 8 else 9.5,
            color=colour,
        )
    return image


def class_ticks(axis, names):
    """A tick in the middle of each class; of many classes, every so many."""
    step = -(-len(names) // 24)
    shown = names[::step]
    axis.set_ticks(np.arange(len(names))[::step] + 0.5, [shorten(n, 14) for n in shown])
    if axis.axis_name == "x" and max(map(len, shown)) > 2:
        axis.set_tick_params(rotation=90)


def shorten(name, most):
    """The name, without its middle where it is longer than `most` letters."""
    tail = (most - 1) // 2
    return name if len(name) <= most else name[: most - 1 - tail] + "…" + name[-tail:]


def luminance(rgba):
    """How bright a colour is to the eye, 0 to 1 (CIE Y of sRGB, with the gamma taken as 2.2)."""
    red, green, blue = (channel**2.2 for channel in rgba[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) ** (1 / 2.2)


def svg(picture):
    """The picture as text of an SVG, the same for the same picture."""
    out = io.StringIO()
    with style(), matplotlib.rc_context({"svg.hashsalt": picture.name}):
        picture.figure.savefig(
            out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    text = out.getvalue()
    return text[text.index("<svg") :]


def svg_file(text):
    """The SVG as a file of its own: on white."""
    head, body = text.split(">", 1)
    return f'{head}>\n<rect width="100%" height="100%" fill="#ffffff"/>{body}'


def svg_inline(text, name, alt):
    """The SVG to stand in a page: in the page's colours and letters, with ids of its own, one image to a screen reader."""
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\1{name}-", text)
    for colour, token in TOKENS.items():
        text = text.replace(colour, f"var({token})")
    text = text.replace(FONT, "var(--font)")
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text).groups()
    head, body = text.split(">", 1)
    size = f'viewBox="0 0 {width} {height}" style="max-width: {float(width) * 4 / 3:.0f}px"'
    return f'<svg role="img" aria-label="{alt}" {size}>{body}'


def save(figure, path):
    """Write a figure as PNG, SVG or PDF, by the ending of path."""
    kind = os.path.splitext(path)[1].lower()
    if kind not in (".png", ".svg", ".pdf"):
        raise Unusable(f"{path}: name a file that ends in .png, .svg or .pdf")
    metadata = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[kind]
    with style(), matplotlib.rc_context({"svg.hashsalt": os.path.basename(path)}):
        try:
            figure.savefig(path, dpi=160, facecolor="white", metadata=metadata)
        except OSError as error:
            raise Unusable(f"{path}: cannot be written: {error.strerror or error}")
