"""A document as an Excel workbook: a sheet for each table. Text is only ever text, so that no formula in a name runs."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import xlsxwriter

from api.documents.document import Cell, Document, Table

_NAME_MAX = 31
_NOT_IN_NAMES = re.compile(r"[\[\]:*?/\\\x00-\x1f']")
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TEXT_MAX = 32_767  # of a cell
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_CHART_ROWS = 16  # that a chart covers
_WIDTH = 110  # characters of a whole page


def as_xlsx(document: Document) -> bytes:
    """The bytes of an .xlsx file."""
    out = io.BytesIO()
    nothing_runs = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(out, nothing_runs) as book:
        # A fixed time, so that the same document gives the same bytes.
        book.set_properties({"title": _clean(document.title), "author": "Gatehouse", "created": _EPOCH})
        taken: set[str] = set()
        for table in document.tables:
            _sheet(book, document, table, _name(table.title, taken))
        if not document.tables:
            _sheet(book, document, Table(document.title, (), ()), _name(document.title, taken))
    return out.getvalue()


def _sheet(book: Any, document: Document, table: Table, name: str) -> None:
    sheet = book.add_worksheet(name)
    sheet.set_paper(9)  # A4
    sheet.fit_to_pages(1, 0)
    title, head = book.add_format({"bold": True, "font_size": 14}), book.add_format({"bold": True, "bottom": 1})
    sheet.write_string(0, 0, _clean(document.title), title)
    at = 1
    for line in document.about:
        sheet.write_string(at, 0, _clean(line))
        at += 1
    at += 1
    sheet.write_string(at, 0, _clean(table.title), book.add_format({"bold": True}))
    at += 1
    total_share = sum(column.share for column in table.columns)
    for column, each in enumerate(table.columns):
        sheet.set_column(column, column, max(8, _WIDTH * each.share / total_share))
        sheet.write_string(at, column, _clean(each.title), head)
    if table.columns:
        sheet.freeze_panes(at + 1, 0)
        sheet.repeat_rows(at)
    at += 1
    for number, column in enumerate(table.bars if len(table.rows) > 1 else ()):
        _chart(book, sheet, table, column, (at, at + len(table.rows) - 1), number)
    rows = [(row, False) for row in table.rows] + ([] if table.total is None else [(table.total, True)])
    for row, is_total in rows:
        for column, cell in enumerate(row):
            _write(book, sheet, at, column, cell, table.columns[column].decimals, is_total)
        at += 1
    if not rows and table.empty:
        sheet.write_string(at, 0, _clean(table.empty))
        at += 1
    for line in document.notes:
        at += 1
        sheet.write_string(at, 0, _clean(line))


def _chart(book: Any, sheet: Any, table: Table, column: int, rows: tuple[int, int], number: int) -> None:
    """A column's numbers as bars, to the right of the table; it shows the cells, so that it cannot say otherwise."""
    chart = book.add_chart({"type": "column"})
    name = sheet.get_name()
    chart.add_series({"categories": [name, rows[0], 0, rows[1], 0], "values": [name, rows[0], column, rows[1], column]})
    chart.set_title({"name": _clean(table.columns[column].title), "name_font": {"size": 11}})
    chart.set_legend({"none": True})
    sheet.insert_chart(rows[0] - 1 + number * _CHART_ROWS, len(table.columns) + 1, chart)


def _write(
    book: Any,
    sheet: Any,
    row: int,
    column: int,
    cell: Cell,
    decimals: int | None,
    is_total: bool,
) -> None:
    look = {"bold": True, "top": 1} if is_total else {}
    if cell is None:
        sheet.write_blank(row, column, None, book.add_format(look))
    elif isinstance(cell, str):
        sheet.write_string(row, column, _clean(cell), book.add_format(look | {"text_wrap": True, "valign": "top"}))
    else:
        if decimals is None and isinstance(cell, Decimal):
            decimals = _digits(cell)
        form = {} if decimals is None else {"num_format": "#,##0" + ("." + "0" * decimals if decimals else "")}
        sheet.write_number(row, column, float(cell), book.add_format(look | form | {"valign": "top"}))


def _digits(cell: Decimal) -> int:
    exponent = cell.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _name(title: str, taken: set[str]) -> str:
    """A name Excel takes, and that no other sheet has."""
    base = _NOT_IN_NAMES.sub(" ", title).strip()[:_NAME_MAX] or "1"
    name, number = base, 2
    while name.lower() in taken or name.lower() == "history":
        name = f"{base[: _NAME_MAX - len(str(number)) - 1]} {number}"
        number += 1
    taken.add(name.lower())
    return name


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("□", text)[:_TEXT_MAX]
