"""A month's bill as a document: one table of beds, one of each tariff's rooms, common use and losses, corrections."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from api.contract import Named
from api.documents.document import Cell, Column, Document, Language, Table
from api.dormitories.bill import Bill, CorrectionLine, PublicUse, RoomUse, TariffUsed

_WORDS = {
    "en": {
        "title": "{building}: bill of {month}",
        "draft": "Draft, not issued",
        "issued": "Issued {time} by {who}",
        "hash": "Inputs: {hash}",
        "beds": "What each bed owes",
        "room": "Room",
        "bed": "Bed",
        "house": "House",
        "month": "This month (yuan)",
        "correction": "Corrections (yuan)",
        "due": "Due (yuan)",
        "quantity": "Used ({unit})",
        "estimated": "Of it estimated ({unit})",
        "amount": "Amount (yuan)",
        "steps": "Steps",
        "remark": "Remark",
        "not_whole": "readings do not cover the month",
        "breaks": "register corrected",
        "unknown": "a step of the register is unknown and not counted",
        "public": "Common use and difference to the main meter",
        "tariff": "Tariff",
        "of_unit": "{name} ({unit})",
        "main": "Main meter",
        "rooms": "Rooms",
        "common": "Common use",
        "difference": "Difference",
        "spread": "Paid by beds (yuan)",
        "corrections": "Corrections of earlier months",
        "of_month": "Month",
        "none": "None",
        "page": "Page {page}",
        "note": "Amounts are whole fen and add up. Beds have numbers, people have no names here.",
    },
    "zh": {
        "title": "{building} {month} 水电费账单",
        "draft": "草稿，尚未出账",
        "issued": "{time} 由 {who} 出账",
        "hash": "数据指纹：{hash}",
        "beds": "各床位应缴",
        "room": "房间",
        "bed": "床位",
        "house": "公用",
        "month": "本月（元）",
        "correction": "往月更正（元）",
        "due": "应缴（元）",
        "quantity": "用量（{unit}）",
        "estimated": "其中估算（{unit}）",
        "amount": "金额（元）",
        "steps": "阶梯",
        "remark": "备注",
        "not_whole": "读数未覆盖全月",
        "breaks": "表计读数经更正",
        "unknown": "表计跳变原因不明，未计入",
        "public": "公共用量及与总表差额",
        "tariff": "费用",
        "of_unit": "{name}（{unit}）",
        "main": "总表",
        "rooms": "房间合计",
        "common": "公共用量",
        "difference": "差额",
        "spread": "由床位分摊（元）",
        "corrections": "往月更正明细",
        "of_month": "月份",
        "none": "无",
        "page": "第 {page} 页",
        "note": "金额以分为单位精确计算，各项相加等于合计。床位以编号表示，不记录姓名。",
    },
}


def printed(bill: Bill, language: Language, names: Mapping[str, Named], issued: tuple[str, str] | None) -> Document:
    """The bill for people.

    Args:
        names: Of the building and its rooms, by id, in both languages; what has left the catalogue is called by its id.
        issued: (when, by whom), as text; None for a draft.
    """
    words = _WORDS[language]
    standing = words["draft"] if issued is None else words["issued"].format(time=issued[0], who=issued[1])
    return Document(
        title=words["title"].format(building=names[bill.building][language], month=bill.month),
        language=language,
        about=(standing, words["hash"].format(hash=bill.inputs_hash[:16])),
        tables=(
            _beds(bill, language, names),
            *(_rooms(bill, tariff, language, names) for tariff in bill.tariffs),
            _public(bill, language),
            _corrections(bill, language, names),
        ),
        notes=(words["note"],),
        page_of=words["page"],
    )


def _beds(bill: Bill, language: Language, names: Mapping[str, Named]) -> Table:
    words = _WORDS[language]
    rows: list[tuple[Cell, ...]] = [
        (
            _name(room.room, language, names),
            _bed(bed.bed, language),
            _yuan(bed.fen),
            _yuan(bed.correction_fen),
            _yuan(bed.due_fen),
        )
        for room in bill.rooms
        for bed in room.beds
    ]
    beds = [bed for room in bill.rooms for bed in room.beds]
    total = (
        "", "", _yuan(sum(bed.fen for bed in beds)), _yuan(sum(bed.correction_fen for bed in beds)),
        _yuan(sum(bed.due_fen for bed in beds)),
    )  # fmt: skip
    money = (Column(words[name], 2) for name in ("month", "correction", "due"))
    return Table(words["beds"], (Column(words["room"]), Column(words["bed"], share=0.6), *money), tuple(rows), total)


def _rooms(bill: Bill, tariff: TariffUsed, language: Language, names: Mapping[str, Named]) -> Table:
    words = _WORDS[language]
    rows: list[tuple[Cell, ...]] = []
    fen = 0
    for room in bill.rooms:
        use = next(each for each in room.uses if each.tariff == tariff.id)
        steps = " + ".join(f"{line.quantity} × {line.price}" for line in use.lines if line.quantity.strip("0."))
        rows.append(
            (
                _name(room.room, language, names),
                Decimal(use.quantity),
                Decimal(use.estimated),
                steps,
                _yuan(use.fen),
                _remark(use, language),
            )
        )
        fen += use.fen
    columns = (
        Column(words["room"]),
        Column(words["quantity"].format(unit=tariff.unit)),
        Column(words["estimated"].format(unit=tariff.unit)),
        Column(words["steps"], share=2),
        Column(words["amount"], 2),
        Column(words["remark"], share=1.6),
    )
    return Table(tariff.name[language], columns, tuple(rows), ("", "", "", "", _yuan(fen), ""))


def _remark(use: RoomUse | PublicUse, language: Language) -> str:
    words = _WORDS[language]
    said = [] if use.is_whole else [words["not_whole"]]
    if any(each.counted is None for each in use.breaks):
        said.append(words["unknown"])
    elif use.breaks:
        said.append(words["breaks"])
    return ("；" if language == "zh" else "; ").join(said)


def _public(bill: Bill, language: Language) -> Table:
    words = _WORDS[language]
    of = {tariff.id: tariff for tariff in bill.tariffs}
    rows: list[tuple[Cell, ...]] = [
        (
            words["of_unit"].format(name=of[each.tariff].name[language], unit=of[each.tariff].unit),
            _quantity(each.main),
            Decimal(each.rooms),
            Decimal(each.common),
            _quantity(each.difference),
            _yuan(each.fen),
            _yuan(each.spread_fen),
            _remark(each, language),
        )
        for each in bill.public
    ]
    numbers = [Column(words[name]) for name in ("main", "rooms", "common", "difference")]
    money = (Column(words["amount"], 2), Column(words["spread"], 2))
    columns = (Column(words["tariff"], share=1.4), *numbers, *money, Column(words["remark"], share=1.6))
    return Table(words["public"], columns, tuple(rows), empty=words["none"])


def _corrections(bill: Bill, language: Language, names: Mapping[str, Named]) -> Table:
    words = _WORDS[language]
    of = {tariff.id: tariff.name[language] for tariff in bill.tariffs}

    def where(room: str | None) -> str:
        return words["house"] if room is None else _name(room, language, names)

    def row(line: CorrectionLine) -> tuple[Cell, ...]:
        room = where(line.room)
        return line.month, of.get(line.tariff, line.tariff), room, _bed(line.bed, language), _yuan(line.fen)

    columns = tuple(Column(words[name]) for name in ("of_month", "tariff", "room", "bed"))
    rows = tuple(row(line) for line in bill.corrections)
    total = ("", "", "", "", _yuan(sum(line.fen for line in bill.corrections)))
    return Table(words["corrections"], (*columns, Column(words["amount"], 2)), rows, total, words["none"])


def _name(room: str, language: Language, names: Mapping[str, Named]) -> str:
    return names[room][language] if room in names else room


def _bed(bed: int | None, language: Language) -> str:
    return _WORDS[language]["house"] if bed is None else str(bed)


def _quantity(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _yuan(fen: int) -> float:
    """For showing alone: nothing is computed with it."""
    return fen / 100
