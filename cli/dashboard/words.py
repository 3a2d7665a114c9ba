"""Figures in words, one line at most, as the dashboard's panels show them."""

from __future__ import annotations

import time

from rich.cells import cell_len
from rich.text import Text

from buildnet.cli.dashboard.screen import Amount, BuildRow, Freshness, Level
from buildnet.cli.output import UNKNOWN, bytes_text, printable

STYLES: dict[Level, str] = {"good": "green", "plain": "", "warning": "yellow", "bad": "red"}
STATUS_STYLES = {
    "healthy": "green",
    "not healthy": "red",
    "online": "green",
    "busy": "yellow",
    "suspect": "yellow",
    "offline": "red",
    "running": "green",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "yellow",
    "paused": "yellow",
}
_BAR = 12


def plain(text: object) -> str:
    """Return what others have chosen as one line that does not speak to the terminal."""
    return printable(text).replace("\n", " ").replace("\t", " ")


def short(name: str, width: int) -> str:
    """Return a name in ``width`` cells at most, without its middle: names differ at their ends."""
    if cell_len(name) <= width:
        return name
    tail = ""
    for each in reversed(name):
        if cell_len(each + tail) > (width - 1) // 2:
            break
        tail = each + tail
    head, room = "", width - 1 - cell_len(tail)
    for each in name:
        if cell_len(head + each) > room:
            break
        head += each
    return f"{head}…{tail}" if width > 0 else ""


def status(word: str) -> Text:
    """Return a status as a word in its colour."""
    return Text(word, style=STATUS_STYLES.get(word, ""))


def count(number: int | None, *, at_least: bool = False) -> str:
    """Return a number, or that it is not known."""
    if number is None:
        return UNKNOWN
    return f"at least {number:,}" if at_least else f"{number:,}"


def percent(part: float | None) -> str:
    """Return a part of one."""
    return UNKNOWN if part is None else f"{part:.0%}"


def span(seconds: float | None) -> str:
    """Return a duration in its two largest units, for what changes each second."""
    if seconds is None:
        return UNKNOWN
    whole = int(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def took(seconds: float | None) -> str:
    """Return how long something took that is over."""
    if seconds is None:
        return UNKNOWN
    return f"{seconds:.1f} s" if seconds < 60 else span(seconds)


def ago(seconds: float | None) -> str:
    """Return how long ago something was."""
    if seconds is None:
        return UNKNOWN
    return "now" if seconds < 1 else f"{span(seconds)} ago"


def clock(unix: float) -> str:
    """Return the time of day here."""
    return time.strftime("%H:%M:%S", time.localtime(unix))


def cores(amount: Amount) -> str:
    """Return cores that are in use."""
    if amount.used is None or not amount.total:
        return UNKNOWN
    return f"{amount.used:.0f}/{amount.total:.0f} cores ({amount.used / amount.total:.0%})"


def memory(amount: Amount) -> str:
    """Return memory that is in use."""
    if amount.used is None or not amount.total:
        return UNKNOWN
    return f"{sizes(amount.used, amount.total)} ({amount.used / amount.total:.0%})"


def sizes(used: float | None, of: float | None) -> str:
    """Return how much is used of how much, with one unit if it is the same."""
    first, last = bytes_text(used), bytes_text(of)
    number, _, unit = first.partition(" ")
    return f"{number}/{last}" if last.endswith(f" {unit}") else f"{first} of {last}"


def freshness(word: Freshness) -> str:
    """Return how old what is shown is, and that no news come if that is so."""
    age = "not told yet" if word.age_s is None else ago(word.age_s)
    return age if word.trouble is None else f"{age}; no news: {word.trouble}"


def progress(build: BuildRow, *, with_bar: bool = True) -> Text:
    """Return how far a build is, as a bar and in numbers."""
    if not build.tasks:
        return Text("not known yet", style="dim")
    bar = Text()
    if with_bar:
        full = round(_BAR * min(1.0, build.done / build.tasks))
        bar.append("█" * full, style="green").append("░" * (_BAR - full), style="dim").append(" ")
    bar.append(f"{build.done}/{build.tasks}")
    if build.failed:
        bar.append(f", {build.failed} failed", style="red")
    return bar


def estimate(build: BuildRow) -> str:
    """Return how much longer a build takes, as far as that is estimated."""
    if build.left_s is None:
        return "no estimate"
    return f"about {span(build.left_s)} left" if build.left_s >= 1 else "about to end"


def activity(build: BuildRow) -> str:
    """Return what a build does now."""
    if build.waits_for:
        return f"waits for {plain(build.waits_for)}"
    return ", ".join(map(plain, build.running))
