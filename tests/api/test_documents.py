import base64
import io
import re
import zipfile
import zlib
from xml.sax.saxutils import escape

import pytest

from api.documents.document import Column, Document, Table
from api.documents.pdf import as_pdf
from api.documents.xlsx import as_xlsx

HOSTILE = '=HYPERLINK("http://example.org","open")'


def document(*rows: tuple[str | float | None, ...], title: str = "Alarms") -> Document:
    columns = (Column("Where", share=3), Column("kWh", decimals=1))
    table = Table(title, columns, rows, ("Sum", 12.5), empty="none")
    return Document("日报 Daily <b>report</b>", "zh", ("一号院区",), (table,), ("注：测试",), "第 {page} 页")


def sheet_of(data: bytes, number: int = 1) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        return files.read(f"xl/worksheets/sheet{number}.xml").decode() + files.read("xl/sharedStrings.xml").decode()


def drawn(data: bytes) -> bytes:
    """What is drawn on the pages, as the file says it."""
    found = b""
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", data, re.DOTALL):
        found += zlib.decompress(base64.a85decode(b"<~" + stream.strip(), adobe=True))
    return found


def test_chinese_is_set_in_a_font_that_has_it() -> None:
    data = as_pdf(document(("一号门", 3.14159)))
    assert data.startswith(b"%PDF-") and b"STSong-Light" in data and b"UniGB-UCS2-H" in data
    assert "日报".encode("utf-16-be") in _unescaped(drawn(data))


def test_a_number_is_rounded_as_its_column_says() -> None:
    assert b"(3.1)" in drawn(as_pdf(document(("gate", 3.14159))))


def test_markup_in_a_name_is_text() -> None:
    assert b"<b>report</b>" in drawn(as_pdf(document((HOSTILE, 1.0))))
    assert b"<script>" in drawn(as_pdf(document(("<script>", 1.0))))


@pytest.mark.parametrize("text", [HOSTILE, "+1+1", "@SUM(A1)", "-2+3", "{=1+1}", "http://example.org/x"])
def test_nothing_in_a_workbook_is_a_formula_or_a_link(text: str) -> None:
    sheet = sheet_of(as_xlsx(document((text, 1.0))))
    assert "<f>" not in sheet and "<hyperlink" not in sheet
    assert escape(text) in sheet


def test_numbers_are_numbers_in_a_workbook() -> None:
    sheet = sheet_of(as_xlsx(document(("gate", 3.14159))))
    assert "<v>3.14159</v>" in sheet and "<v>12.5</v>" in sheet


@pytest.mark.parametrize("text", ["\x00\x07", "\ud800", "😀 emoji", "\ufffe", "a" * 3000, "字" * 3000])
def test_no_text_breaks_a_document(text: str) -> None:
    made = document((text, None))
    assert as_pdf(made).startswith(b"%PDF-")
    assert as_xlsx(made).startswith(b"PK")


def test_the_same_document_gives_the_same_bytes() -> None:
    made = document(("gate", 1.0))
    assert as_pdf(made) == as_pdf(made)
    assert as_xlsx(made) == as_xlsx(made)


def test_two_tables_of_one_name_and_names_excel_refuses_get_sheets_of_their_own() -> None:
    tables = tuple(Table(title, (Column("a"),), (("x",),)) for title in ("a/b:c" * 10, "a/b:c" * 10, "History", "''"))
    data = as_xlsx(Document("t", "en", (), tables))
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        names = re.findall(r'<sheet name="([^"]*)"', files.read("xl/workbook.xml").decode())
    assert len(set(names)) == 4 and all(0 < len(name) <= 31 for name in names) and "History" not in names


def test_a_long_table_goes_on_over_pages_with_its_head() -> None:
    data = as_pdf(document(*((f"row {number}", float(number)) for number in range(200))))
    pages = data.count(b"/Type /Page\n")
    assert pages > 3 and drawn(data).count(b"(kWh)") == pages


def test_an_empty_table_says_so() -> None:
    empty = Document("t", "en", (), (Table("Alarms", (Column("a"),), (), empty="There were none."),))
    assert b"There were none." in drawn(as_pdf(empty))
    assert "There were none." in sheet_of(as_xlsx(empty))


def _unescaped(data: bytes) -> bytes:
    """Strings of a PDF without their backslashes."""
    octal = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), data)
    return re.sub(rb"\\(.)", rb"\1", octal, flags=re.DOTALL)
