"""A document as PDF, A4. Chinese is set in STSong-Light, which viewers bring themselves: nothing is embedded.

The same document gives the same bytes: no time and no random number is written into it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from reportlab.graphics.charts.barcharts import VerticalBarChart
from reportlab.graphics.shapes import Drawing
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.platypus import KeepTogether, LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from api.documents.document import Cell, Document, Number, Table, shown

_LATIN, _CJK = "Helvetica", "STSong-Light"
_MARGIN = 15 * mm
_FRAME = 6.0  # points that reportlab leaves on each side
_COLUMNS_UPRIGHT_MAX = 8
_CHART = 42 * mm
_LABELS_MAX = 16  # under a chart
_INK, _MUTED, _LINE, _HEAD, _BAR = (HexColor(code) for code in ("#1f2328", "#59636e", "#d1d9e0", "#eef2f6", "#3b6fa8"))
# What Helvetica lacks; beyond the basic plane there is no glyph in either font.
_NOT_LATIN = re.compile(r"[^\x20-\x7e\xa0-\xff–—‘’“”•…€]+")
_NOWHERE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]|[^\x00-\uffff]")


def as_pdf(document: Document) -> bytes:
    """The bytes of a PDF file."""
    _register()
    widest = max((len(table.columns) for table in document.tables), default=0)
    size = landscape(A4) if widest > _COLUMNS_UPRIGHT_MAX else A4
    out = io.BytesIO()
    template = SimpleDocTemplate(
        out,
        pagesize=size,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN + 5 * mm,
        title=_NOWHERE.sub("□", document.title),
        author="Gatehouse",
        lang=document.language,
        invariant=1,
    )
    story: list[Any] = [_text(document.title, _style(16, 22))]
    story += [_text(line, _style(9, 13, _MUTED)) for line in document.about]
    for table in document.tables:
        story.append(Spacer(1, 5 * mm))
        width = size[0] - 2 * _MARGIN - 2 * _FRAME
        story += [_bars(table, column, width) for column in table.bars if len(table.rows) > 1]
        story += _table(table, width)
    if document.notes:
        story.append(Spacer(1, 5 * mm))
        story.append(KeepTogether([_text(line, _style(9, 13, _MUTED)) for line in document.notes]))

    def number(canvas: Any, template: Any) -> None:
        canvas.setFont(_CJK, 8)
        canvas.setFillColor(_MUTED)
        canvas.drawRightString(size[0] - _MARGIN, 10 * mm, document.page_of.format(page=template.page))

    template.build(story, onFirstPage=number, onLaterPages=number)
    return out.getvalue()


def _table(table: Table, width: float) -> list[Any]:
    heading = _text(table.title, _style(12, 18))
    if not table.rows and table.empty:
        return [KeepTogether([heading, _text(table.empty, _style(9, 13, _MUTED))])]
    shares = [column.share for column in table.columns]
    numeric = [
        column.decimals is not None or any(isinstance(row[at], Number) for row in table.rows)
        for at, column in enumerate(table.columns)
    ]
    # The heading is the first row, so that it never stands alone at the end of a page.
    rows: list[Sequence[Any]] = [[heading, *[""] * (len(table.columns) - 1)]]
    rows.append([_cell(column.title, is_right) for column, is_right in zip(table.columns, numeric, strict=True)])
    rows += [_row(table, row, numeric) for row in table.rows]
    look: list[Any] = [
        ("SPAN", (0, 0), (-1, 0)),
        ("LEFTPADDING", (0, 0), (-1, 0), 0),
        ("BACKGROUND", (0, 1), (-1, 1), _HEAD),
        ("LINEBELOW", (0, 1), (-1, -1), 0.5, _LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
    ]
    if table.total is not None:
        rows.append(_row(table, table.total, numeric))
        look += [("LINEABOVE", (0, -1), (-1, -1), 1, _INK), ("BACKGROUND", (0, -1), (-1, -1), _HEAD)]
    widths = [width * share / sum(shares) for share in shares]
    return [LongTable(rows, colWidths=widths, repeatRows=2, splitInRow=1, style=TableStyle(look))]


def _bars(table: Table, column: int, width: float) -> Any:
    """A column's numbers as bars, under its title; as high as a look needs."""
    chart = VerticalBarChart()
    chart.x, chart.y, chart.width, chart.height = 14 * mm, 9 * mm, width - 16 * mm, _CHART - 12 * mm
    values = [row[column] for row in table.rows]
    numbers = [float(value) if isinstance(value, Number) else 0.0 for value in values]
    chart.data = [numbers]
    chart.barWidth, chart.groupSpacing = 1, 0.4
    chart.bars[0].fillColor, chart.bars[0].strokeColor = _BAR, None
    chart.valueAxis.valueMin = min(0.0, *numbers)
    chart.valueAxis.valueMax = None if any(numbers) else 1.0
    chart.valueAxis.gridStrokeColor, chart.valueAxis.visibleGrid, chart.valueAxis.visibleTicks = _LINE, True, False
    chart.valueAxis.strokeColor, chart.categoryAxis.strokeColor = None, _MUTED
    chart.categoryAxis.visibleTicks = False
    every = -(-len(table.rows) // _LABELS_MAX)
    chart.categoryAxis.categoryNames = [
        _NOWHERE.sub("□", shown(row[0], table.columns[0].decimals)) if number % every == 0 else ""
        for number, row in enumerate(table.rows)
    ]
    for axis in (chart.valueAxis, chart.categoryAxis):
        axis.labels.fontName, axis.labels.fontSize, axis.labels.fillColor = _CJK, 7, _MUTED
    drawing = Drawing(width, _CHART)
    drawing.add(chart)
    title = _text(f"{table.title} – {table.columns[column].title}", _style(9, 13, _MUTED))
    return KeepTogether([title, drawing])


def _row(table: Table, row: Sequence[Cell], numeric: Sequence[bool]) -> list[Any]:
    return [
        _cell(shown(cell, column.decimals), is_right)
        for cell, column, is_right in zip(row, table.columns, numeric, strict=True)
    ]


def _cell(text: str, is_right: bool) -> Paragraph:
    return _text(text, _style(8.5, 11, _INK, is_right))


@cache
def _style(size: float, leading: float, colour: Any = _INK, is_right: bool = False) -> ParagraphStyle:
    more = {"alignment": TA_RIGHT} if is_right else {}
    return ParagraphStyle(
        f"{size}{is_right}", fontName=_LATIN, fontSize=size, leading=leading, textColor=colour, wordWrap="CJK", **more
    )


def _text(text: str, style: ParagraphStyle) -> Paragraph:
    """Text as it is: nothing in it is markup. Each run in the font that has it."""
    parts: list[str] = []
    at = 0
    text = _NOWHERE.sub("□", text)
    for run in _NOT_LATIN.finditer(text):
        parts += [escape(text[at : run.start()]), f'<font name="{_CJK}">{escape(run.group())}</font>']
        at = run.end()
    return Paragraph("".join([*parts, escape(text[at:])]), style)


@cache
def _register() -> None:
    pdfmetrics.registerFont(UnicodeCIDFont(_CJK))
