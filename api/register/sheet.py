"""The register as an Excel sheet in the classic layout. A visitor's name is never a formula."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import xlsxwriter

from api.register.visit import Measured, Visit

TITLE = {"zh": "来访人员体温登记表", "en": "Visitor temperature register"}
_COLUMNS = {
    "zh": (
        "序号", "日期", "来访人姓名", "单位", "事由", "拜访部门", "联系电话", "体温（°C）", "复测（°C）",
        "进入时间", "离开时间", "状态", "值班人", "备注",
    ),
    "en": (
        "No.", "Date", "Visitor", "Organisation", "Purpose", "Department visited", "Phone", "Temp. (°C)", "Recheck (°C)",
        "In", "Out", "State", "Guard", "Remark",
    ),
}  # fmt: skip
_STATES = {
    "zh": {"announced": "已预约未到", "in": "在内", "out": "已离开", "refused": "未准入"},
    "en": {"announced": "announced", "in": "inside", "out": "left", "refused": "not admitted"},
}
_ONLY = {"zh": "仅最近 {count} 条", "en": "the newest {count} only"}
_UNREADABLE = {"zh": "无法解密", "en": "cannot be opened"}
_WIDTHS = (6, 12, 14, 22, 22, 16, 16, 10, 10, 10, 10, 12, 12, 22)


def excel(visits: Sequence[Visit], zones: dict[str, str], language: str, told: str, *, is_cut: bool = False) -> bytes:
    """A workbook: title, who took it and when, a row for each visit.

    Args:
        zones: Time zone by site; times of a site that has left the catalogue are in UTC, and say so.
        language: zh or en.
        told: The line under the title.
        is_cut: There are more visits than these; the line says so.
    """
    made = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(made, options) as book:
        sheet = book.add_worksheet(TITLE[language])
        # quote_prefix: what begins like a formula stays text also when somebody edits the cell.
        cell = book.add_format({"border": 1, "text_wrap": True, "valign": "vcenter", "quote_prefix": True})
        looks = {"border": 1, "valign": "vcenter", "num_format": "0.0"}
        degrees = book.add_format(looks)
        count = book.add_format(looks | {"num_format": "0"})
        head = book.add_format({"border": 1, "bold": True, "align": "center", "valign": "vcenter", "text_wrap": True})
        title = book.add_format({"bold": True, "font_size": 18, "align": "center"})
        last = len(_WIDTHS) - 1
        sheet.merge_range(0, 0, 0, last, TITLE[language], title)
        sheet.merge_range(1, 0, 1, last, "", None)
        more = f"   {_ONLY[language].format(count=len(visits))}" if is_cut else ""
        sheet.write_string(1, 0, told + more)
        for column, width in enumerate(_WIDTHS):
            sheet.set_column(column, column, width)
            sheet.write_string(2, column, _COLUMNS[language][column], head)
        for number, visit in enumerate(visits, 1):
            sheet.write_number(number + 2, 0, number, count)
            for column, each in enumerate(row(visit, zones.get(visit.site), language), 1):
                if isinstance(each, float):
                    sheet.write_number(number + 2, column, each, degrees)
                else:
                    sheet.write_string(number + 2, column, each, cell)
        sheet.freeze_panes(3, 0)
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(2)
        sheet.set_footer("&C&P / &N")
    return made.getvalue()


def row(visit: Visit, zone: str | None, language: str) -> tuple[str | float, ...]:
    """A visit as its columns, without the number in front: temperatures are numbers, all else is text."""
    person, state = visit.person, _STATES[language][visit.state.value]
    times = (_clock(visit.in_ms, zone), _clock(visit.out_ms, zone), state, visit.in_by or "")
    if person is None:
        return (visit.day, _UNREADABLE[language], "", "", "", "", "", "", *times, "")
    return (
        visit.day, person.visitor, person.organisation, person.purpose, person.department, person.phone,
        _degrees(person.temperature), _degrees(person.recheck), *times, person.remark,
    )  # fmt: skip


def _degrees(measured: Measured | None) -> str | float:
    return "" if measured is None else round(measured.value, 1)


def _clock(time_ms: int | None, zone: str | None) -> str:
    if time_ms is None:
        return ""
    time = f"{datetime.fromtimestamp(time_ms / 1000, ZoneInfo(zone or 'UTC')):%H:%M}"
    return time if zone is not None else f"{time} UTC"
