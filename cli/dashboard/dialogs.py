"""What stands before the screen for a moment: a question, and the list of keys."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

KEYS = (
    ("q, Ctrl-C", "quit"),
    ("o", "overview"),
    ("b", "builds: running, waiting, ended in the last hour"),
    ("w", "workers: all nodes"),
    ("s", "sessions"),
    ("e", "events"),
    ("l", "logs: what running commands printed, and what they print"),
    ("Tab, ← →", "next panel; Shift-Tab: the one before"),
    ("↑ ↓, PgUp, PgDn", "another row; Home, End: the first, the last"),
    ("Enter", "a build's tasks and output"),
    ("p", "pause: what is shown stands still; p again: live"),
    ("/", "filter: only rows with these words; Esc: all"),
    ("c", "cancel the chosen build; it asks"),
    ("d", "drain the chosen node; it asks"),
    ("r", "resume the chosen node; it asks"),
    ("Esc", "back"),
)


class Question(ModalScreen[bool]):
    """A question that is answered with y or n."""

    DEFAULT_CSS = """
    Question { align: center middle; background: transparent; }
    Question > Static {
        width: auto; max-width: 100%; height: auto; padding: 1 2; border: round ansi_blue;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,escape,q,enter", "answer(False)", show=False),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """Show the question."""
        yield Static(f"{self._text}\n\ny: yes    n: no", markup=False)

    def action_answer(self, answer: bool) -> None:
        """Give the answer."""
        self.dismiss(answer)


class Help(ModalScreen[None]):
    """The keys, and what they do."""

    DEFAULT_CSS = """
    Help { align: center middle; background: transparent; }
    Help > VerticalScroll {
        width: 74; max-width: 100%; height: auto; max-height: 100%; padding: 0 2;
        border: round ansi_blue;
    }
    Help Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,enter,space", "close", show=False)
    ]

    def compose(self) -> ComposeResult:
        """Show the keys."""
        lines = [f"{keys:<16} {what}" for keys, what in KEYS]
        with VerticalScroll():
            yield Static("\n".join(["Keys", "", *lines]), markup=False)

    def action_close(self) -> None:
        """Go back."""
        self.dismiss()
