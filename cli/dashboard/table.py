"""Rows in columns for any width: what does not fit is left out, or cut, never wrapped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from buildnet.cli.dashboard.words import short

_GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column. ``spare``: those with the highest number are left out first where it is narrow, 0:
    never; ``stretch``: takes the room that is left, and is cut to no less than that where there is
    too little; 0: it is never cut. ``is_name``: it is cut in the middle, not at its end."""

    name: str
    right: bool = False
    spare: int = 0
    stretch: int = 0
    is_name: bool = False


def lay_out(
    columns: Sequence[Column], rows: Sequence[Sequence[str | Text]], width: int
) -> tuple[Text, list[Text]]:
    """Return the line of the columns' names, and a line for each row, ``width`` cells at most."""
    cells = [[_text(cell) for cell in row] for row in rows]
    shown = list(range(len(columns)))
    while _least_width(columns, cells, shown) > width:
        spare = max(shown, key=lambda each: columns[each].spare)
        if not columns[spare].spare:
            break
        shown.remove(spare)
    widths = _widths(columns, cells, shown, width)
    head = [Text(columns[each].name, style="dim") for each in range(len(columns))]
    return (
        _line(columns, head, widths, width),
        [_line(columns, row, widths, width) for row in cells],
    )


def _text(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(cell)


def _wanted(columns: Sequence[Column], cells: Sequence[Sequence[Text]], column: int) -> int:
    return max(
        [len(columns[column].name) if cells else 0, *(row[column].cell_len for row in cells)]
    )


def _least_width(
    columns: Sequence[Column], cells: Sequence[Sequence[Text]], shown: Sequence[int]
) -> int:
    least = 0
    for each in shown:
        wanted = _wanted(columns, cells, each)
        least += min(wanted, columns[each].stretch or wanted)
    return least + _GAP * (len(shown) - 1)


def _widths(
    columns: Sequence[Column],
    cells: Sequence[Sequence[Text]],
    shown: Sequence[int],
    width: int,
) -> dict[int, int]:
    wanted = {each: _wanted(columns, cells, each) for each in shown}
    widths = {each: min(wants, columns[each].stretch or wants) for each, wants in wanted.items()}
    left = width - _GAP * (len(shown) - 1) - sum(widths.values())
    while left > 0 and (hungry := [each for each in shown if widths[each] < wanted[each]]):
        fair = max(1, left // len(hungry))
        for each in hungry[:left]:
            more = min(fair, wanted[each] - widths[each])
            widths[each] += more
            left -= more
    return widths


def _line(
    columns: Sequence[Column], row: Sequence[Text], widths: dict[int, int], width: int
) -> Text:
    line = Text(no_wrap=True, end="")
    for count, (each, wide) in enumerate(widths.items()):
        if count:
            line.append(" " * _GAP)
        cell = row[each].copy()
        if columns[each].is_name and cell.cell_len > wide:
            cell = Text(short(cell.plain, wide))
        cell.truncate(wide, overflow="ellipsis")
        padding = " " * max(0, wide - cell.cell_len)
        is_last = count == len(widths) - 1
        if columns[each].right:
            line.append(padding).append_text(cell)
        else:
            line.append_text(cell).append("" if is_last else padding)
    line.truncate(width, overflow="ellipsis")
    return line
