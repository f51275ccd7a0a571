"""Draws line charts as SVG files without scripts or external resources."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_WIDTH, _HEIGHT = 320, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 26, 30, 42
_LEGEND_ROW = 20
_TITLE = 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a chart.

    Attributes:
        name: Name in the legend, which lists lines with the same name once.
        points: Points as (x, y).
        colour: SVG color.
        dash: SVG dash pattern. It distinguishes lines for readers who do not see colors.
        marker: "circle", "square", "triangle", "diamond", or "" for none.
        labels: Text next to each point; empty for none.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: str
    dash: str = ""
    marker: str = ""
    labels: Sequence[str] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: Title above the panel.
        x_label: Label of the x axis.
        y_label: Label of the y axis.
        lines: Lines to draw.
        target: Upper right corner of a shaded area that starts at the origin; None for none.
        target_name: Text in the shaded area.
        zero: Whether both axes start at 0.
        percent: Whether y is shown in percent.
        scale: Factor of the size.
    """

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    target: tuple[float, float] | None = None
    target_name: str = ""
    zero: bool = False
    percent: bool = False
    scale: float = 1.0


def write(
    path: Path, panels: Sequence[Panel], *, title: str, description: str, columns: int
) -> None:
    """Writes panels in rows, with one legend above them.

    Args:
        path: File to write.
        panels: Panels, all with the same scale.
        title: Title of the whole chart.
        description: Description for screen readers.
        columns: Number of panels in a row.
    """
    width, height = _WIDTH * panels[0].scale, _HEIGHT * panels[0].scale
    lines = {line.name: line for panel in panels for line in panel.lines}
    per_row = max(1, int(width * columns // 220))
    legend_rows = math.ceil(len(lines) / per_row)
    top = _TITLE + legend_rows * _LEGEND_ROW
    total = (width * columns, top + height * math.ceil(len(panels) / columns))
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]:g} {total[1]:g}"'
            f' width="{total[0]:g}" role="img" aria-labelledby="t d" font-family="sans-serif"'
            ' font-size="11" fill="#222">'
        ),
        f'<title id="t">{html.escape(title)}</title>',
        f'<desc id="d">{html.escape(description)}</desc>',
        f'<rect width="{total[0]:g}" height="{total[1]:g}" fill="#fff"/>',
        f'<text x="12" y="22" font-size="15" font-weight="bold">{html.escape(title)}</text>',
    ]
    for index, line in enumerate(lines.values()):
        x, y = 12 + 220 * (index % per_row), _TITLE + _LEGEND_ROW * (index // per_row)
        parts += _path(line, [(x, y), (x + 28, y)])
        parts += _marker(line, x + 14, y)
        parts.append(f'<text x="{x + 34}" y="{y + 4}">{html.escape(line.name)}</text>')
    for index, panel in enumerate(panels):
        x, y = width * (index % columns), top + height * (index // columns)
        parts.append(f'<g transform="translate({x:g} {y:g})">')
        parts += _panel(panel, width, height)
        parts.append("</g>")
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def _panel(panel: Panel, width: float, height: float) -> Iterator[str]:
    left, right, top, bottom = _LEFT, width - _RIGHT, _TOP, height - _BOTTOM
    points = [point for line in panel.lines for point in line.points]
    x_ticks = _ticks([x for x, _ in points], zero=panel.zero)
    y_ticks = _ticks([y for _, y in points], zero=panel.zero)
    x_at = _scale(x_ticks, left, right)
    y_at = _scale(y_ticks, bottom, top)
    yield (
        f'<text x="{left}" y="{top - 10}" font-size="12" font-weight="bold">'
        f"{html.escape(panel.title)}</text>"
    )
    if panel.target:
        x, y = x_at(panel.target[0]), y_at(panel.target[1])
        yield (
            f'<rect x="{left}" y="{y:.1f}" width="{x - left:.1f}" height="{bottom - y:.1f}"'
            ' fill="#e3efe3" stroke="#4b7a4b" stroke-dasharray="3 3"/>'
            f'<text x="{left + 6}" y="{y + 16:.1f}" fill="#2f5a2f">'
            f"{html.escape(panel.target_name)}</text>"
        )
    for tick in y_ticks:
        text = f"{100 * tick:.6g} %" if panel.percent else f"{tick:.6g}"
        yield (
            f'<path d="M{left} {y_at(tick):.1f}H{right:g}" stroke="#ddd"/>'
            f'<text x="{left - 6}" y="{y_at(tick) + 4:.1f}" text-anchor="end">{text}</text>'
        )
    for tick in x_ticks:
        yield (
            f'<path d="M{x_at(tick):.1f} {bottom:g}v4" stroke="#888"/>'
            f'<text x="{x_at(tick):.1f}" y="{bottom + 16:g}" text-anchor="middle">{tick:.6g}</text>'
        )
    yield f'<path d="M{left} {bottom:g}H{right:g}" stroke="#888"/>'
    yield (
        f'<text x="{(left + right) / 2:g}" y="{bottom + 32:g}" text-anchor="middle">'
        f"{html.escape(panel.x_label)}</text>"
    )
    yield (
        f'<text transform="translate(14 {(top + bottom) / 2:g}) rotate(-90)"'
        f' text-anchor="middle">{html.escape(panel.y_label)}</text>'
    )
    for line in panel.lines:
        at = [(x_at(x), y_at(y)) for x, y in line.points]
        yield from _path(line, at)
        for x, y in at:
            yield from _marker(line, x, y)
    # Labels are drawn last and with a white outline, because lines cross them.
    for line in panel.lines:
        for (x, y), label in zip(line.points, line.labels, strict=False):
            yield (
                f'<text x="{x_at(x) + 6:.1f}" y="{y_at(y) - 6:.1f}" font-size="10"'
                ' stroke="#fff" stroke-width="3" paint-order="stroke">'
                f"{html.escape(label)}</text>"
            )


def _path(line: Line, points: Sequence[tuple[float, float]]) -> Iterator[str]:
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    route = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    yield f'<path d="M{route}" fill="none" stroke="{line.colour}" stroke-width="1.8"{dash}/>'


def _marker(line: Line, x: float, y: float) -> Iterator[str]:
    shapes = {
        "circle": "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
        "square": "m-3.5-3.5h7v7h-7z",
        "triangle": "m0-4.5l4.5 8h-9z",
        "diamond": "m0-5l5 5l-5 5l-5-5z",
    }
    if line.marker:
        yield f'<path d="M{x:.1f} {y:.1f}{shapes[line.marker]}" fill="{line.colour}"/>'


def _scale(ticks: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    low, high = ticks[0], ticks[-1]
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _ticks(values: Sequence[float], *, zero: bool) -> list[float]:
    """Returns round numbers that enclose the values."""
    low, high = (0.0 if zero else min(values)), max(values)
    raw = (high - low or 1.0) / 5
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]
