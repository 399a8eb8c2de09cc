"""What a notice says to a person: what, where, value against limit, since when, why now, what to do; in their language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from alerts import events
from alerts.alarm import LATE_DATA, Transition, What
from alerts.people import Template
from alerts.recheck import DECISION_OVERDUE, RECHECK_OVERDUE

CLASSES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "fever": "fever", "drain": "drains", "dormitory": "dormitories", "sensor": "sensors", "gateway": "gateways",
        "cold-store": "cold store", "meter": "meters", "scanner": "scanners", "duty": "daily duties",
        "system": "Gatehouse itself",
    },
    "zh": {"fever": "发热", "drain": "排水", "dormitory": "宿舍", "sensor": "传感器", "gateway": "网关",
           "cold-store": "冷库", "meter": "表计", "scanner": "测温仪", "duty": "日常任务", "system": "平台自身"},
}  # fmt: skip
"""What classes of alarms are called; one that a district has made itself is called as it calls it."""
_SEVERITY_ZH = {"critical": "紧急", "high": "高", "medium": "中", "low": "低"}
_REASONS = {
    What.RAISED: ("new alarm", "新告警"),
    What.SEVERITY_UP: ("it has become worse", "级别升高"),
    What.REOPENED: ("it was over and is back", "恢复后再次告警"),
    What.FLAPPING: (
        "it comes and goes: its coming and going is told no more, until it has rested for ten minutes",
        "反复波动：此后不再逐次通知其恢复与再次告警，平稳十分钟后结束",
    ),
    What.UNMASKED: ("it is no longer masked and still there", "屏蔽已解除，告警仍在"),
    What.REALARMED: ("acknowledged long ago and still there", "确认已久，告警仍在"),
    What.ESCALATED: ("nobody has acknowledged it", "尚无人确认，升级通知"),
    What.EXHAUSTED: ("everybody was called and nobody has acknowledged it", "已通知所有人员，仍无人确认"),
    What.REMINDED: ("reminder: it is still there", "提醒：告警仍在"),
    What.RETURNED: ("over: readings are good again", "已恢复：读数正常"),
    What.DISPOSED: ("over: somebody has decided", "已处置"),
    What.CLOSED: ("closed", "已关闭"),
}
_CALLED_ANEW = {
    RECHECK_OVERDUE: ("the second measurement has not come in time", "复测超时，未测得结果"),
    DECISION_OVERDUE: ("measured again, and nobody has decided", "已复测，尚未作出处置决定"),
}
_OVER_OTHERWISE = {
    "signed-late": ("over: somebody has signed it off, late", "已补签"),
    "cannot-be-signed": ("over: it can no longer be signed off, and stays missed", "已过补签期限，记为漏办"),
}
_NOT_OVER = ("it is not over: readings that came late say so", "补传数据表明告警并未结束")
_RETRACTED = ("taken back: readings that came late say that it never was", "撤回：补传数据表明并未发生")
_TEXT = {
    "en": "{what}\nWhere: {where}\n{why}\nSince: {since}\nLast value: {last}\nThis message: {reason}\nWhat to do: {advice}",
    "zh": "{what}\n位置：{where}\n{why}\n开始时间：{since}\n最近读数：{last}\n本条原因：{reason}\n处置建议：{advice}",
}
_LINES_MAX = 40  # of one group, in a message that must be read


def words(
    taken: Transition, document: Mapping[str, Any], language: str, templates: Mapping[Any, Template]
) -> tuple[str, str]:
    """(title, text) of one notice. A template that cannot be filled in is counted and the plain text sent instead."""
    said = _said(taken, document, language)
    template = templates.get(language)
    if template is not None:
        try:
            return template.title.format_map(said), template.text.format_map(said)
        except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
            events.template_failed(language, f"{type(error).__name__}: {error}")
    return _title(said, document, language), _TEXT[language].format_map(said)


def flood_words(role: str, language: str) -> tuple[str, str]:
    """That from here on what is less than critical comes gathered."""
    if language == "zh":
        return "告警泛滥", f"{role}：十分钟内超过 10 条通知。紧急告警仍逐条发送，其余每分钟汇总一次。"
    return (
        "Alarm flood",
        f"{role}: more than 10 messages in ten minutes. Critical alarms still come one by one, the rest once a minute.",
    )


def digest_words(bodies: Sequence[Mapping[str, Any]], language: str) -> tuple[str, str]:
    """Many steps in one message, by area and class."""
    zh = language == "zh"
    groups: dict[tuple[str, str], list[str]] = {}
    for body in bodies:
        alarm = body["alarm"]
        area = (_of(alarm, "place_name", language) or alarm.get("site", "")).split(" / ")[0]
        name = _of(alarm, "rule_name", language)
        where = _of(alarm, "place_name", language).split(" / ")[-1]
        reason = _reason(What(body["what"]), body["reason"], zh)
        at = _clock(alarm, "%m-%d %H:%M")
        line = f"{at} {where} {name}：{reason}" if zh else f"{at} {where} {name}: {reason}"
        groups.setdefault((area, alarm.get("class", "")), []).append(line)
    parts = []
    for (area, sort), lines in groups.items():
        more = len(lines) - _LINES_MAX
        shown = lines[:_LINES_MAX] + ([f"… 另有 {more} 条" if zh else f"… and {more} more"] if more > 0 else [])
        called = CLASSES[language].get(sort, sort)
        head = f"{area} · {called}（{len(lines)} 条）" if zh else f"{area} · {called} ({len(lines)})"
        parts.append("\n".join([head, *(f"- {line}" for line in shown)]))
    return (f"告警汇总：{len(bodies)} 条" if zh else f"Alarms: {len(bodies)} messages in one"), "\n\n".join(parts)


def _said(taken: Transition, document: Mapping[str, Any], language: str) -> dict[str, str]:
    zh = language == "zh"
    unit = document.get("unit") or ""
    unit = "" if unit == "1" else unit
    unit = {"rate": f"{unit}/min", "forecast": "min"}.get(document.get("rule_type") or "", unit)
    value, limit = document.get("value"), document.get("limit")
    severity = document.get("severity", "")
    what = _of(document, "rule_name", language)
    shown = "–" if value is None else f"{value:g} {unit}".strip()
    return {
        "what": f"[{_SEVERITY_ZH.get(severity, severity)}] {what}" if zh else f"[{severity}] {what}",
        "where": f"{_of(document, 'place_name', language) or document.get('site', '')} · {document.get('device', '')}",
        "value": shown,
        "limit": "–" if limit is None else f"{limit:g} {unit}".strip(),
        "since": _clock(document),
        "why": _of(document, "why", language),
        "reason": _reason(taken.what, taken.reason, zh),
        "advice": _of(document, "advice", language) or "–",
        "last": f"{shown}（{_age(taken, zh)}）" if zh else f"{shown}, {_age(taken, zh)}",
        "link": f"alarms/{document.get('id', taken.alarm)}",
    }


def _title(said: Mapping[str, str], document: Mapping[str, Any], language: str) -> str:
    return f"{said['what']} · {said['where']} · {said['reason']}"


def _reason(what: What, reason: str, zh: bool) -> str:
    if reason == "retracted-by-late-data":
        return _RETRACTED[zh]
    if what is What.REOPENED and reason == LATE_DATA:
        return _NOT_OVER[zh]
    if reason in _CALLED_ANEW:
        return _CALLED_ANEW[reason][zh]
    if reason in _OVER_OTHERWISE:
        return _OVER_OTHERWISE[reason][zh]
    return _REASONS.get(what, (what.value, what.value))[zh]


def _age(taken: Transition, zh: bool) -> str:
    age_s = max(0, taken.known_ms - taken.event_ms) // 1000
    for seconds, one_en, one_zh in ((86_400, "d", "天"), (3600, "h", "小时"), (60, "min", "分钟")):
        if age_s >= seconds:
            return f"{age_s // seconds} {one_zh}前" if zh else f"{age_s // seconds} {one_en} old"
    return f"{age_s} 秒前" if zh else f"{age_s} s old"


def _of(document: Mapping[str, Any], name: str, language: str) -> str:
    found = document.get(name) or {}
    return str(found.get(language) or found.get("en") or "") if isinstance(found, Mapping) else str(found)


def _clock(document: Mapping[str, Any], form: str = "%Y-%m-%d %H:%M:%S") -> str:
    onset_ms = document.get("onset_ms")
    if onset_ms is None:
        return "–"
    zone = ZoneInfo(document.get("timezone") or "Asia/Shanghai")
    return datetime.fromtimestamp(onset_ms / 1000, zone).strftime(form)
