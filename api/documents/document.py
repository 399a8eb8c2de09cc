"""What stands in a document, whatever it is printed as: tables and notes under a title, in one language."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Number = int | float | Decimal
Cell = str | Number | None
"""Text, a number, or nothing (None). A Decimal has digits of its own, for columns whose rows have different ones."""

Language = Literal["en", "zh"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Args:
        decimals: Of its numbers; None for text and for numbers as they are.
        share: Of the page's width, beside those of the other columns.
    """

    title: str
    decimals: int | None = None
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; `total` is a last row that stands out. A table without rows says `empty` instead.

    Args:
        bars: Columns whose numbers are also drawn, as bars over the texts of the first.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] | None = None
    empty: str = ""
    bars: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        rows = self.rows if self.total is None else (*self.rows, self.total)
        assert all(len(row) == len(self.columns) for row in rows), self.title


@dataclass(frozen=True, slots=True)
class Document:
    """A whole document.

    Args:
        about: Lines under the title: which site, which time, made when and by whom.
        notes: Lines at the end.
        page_of: How a page is numbered, with {page} in it.
    """

    title: str
    language: Language
    about: tuple[str, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    page_of: str = "{page}"


def shown(cell: Cell, decimals: int | None) -> str:
    """A cell as text."""
    if cell is None:
        return "–"
    if isinstance(cell, str):
        return cell
    return f"{cell:,}" if decimals is None else f"{cell:,.{decimals}f}"
