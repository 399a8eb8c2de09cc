"""What an alarm says to people, in both languages: what, where, value against limit, since when, why, what to do."""

from __future__ import annotations

from typing import Any

from alerts.alarm import Alarm
from alerts.rules import ForecastRule, LevelRule, RateRule, Rule, SilenceRule
from telemetry.catalogue import Catalogue, Text
from telemetry.series import ONLINE

_UNITS = {"degC": "°C", "m3": "m³", "1": ""}


def document(alarm: Alarm, rule: Rule | None, catalogue: Catalogue) -> dict[str, Any]:
    """The alarm as the API, MQTT and the webhook give it."""
    metric = catalogue.metric.get((alarm.device, alarm.metric))
    unit = metric.unit if metric else "1"
    path = catalogue.path_of(alarm.place) if alarm.place in catalogue.place else ()
    return {
        "id": alarm.id,
        "rule": alarm.rule,
        "rule_name": _both(rule.name) if rule else {"en": alarm.rule, "zh": alarm.rule},
        "class": alarm.alarm_class,
        "site": alarm.site,
        "place": alarm.place,
        "place_name": {
            "en": " / ".join(place.name.en for place in path),
            "zh": " / ".join(place.name.zh for place in path),
        },
        "device": alarm.device,
        "metric": alarm.metric,
        "unit": unit,
        "key": alarm.key,
        "severity": alarm.severity.word,
        "severity_max": alarm.severity_max.word,
        "state": "open" if alarm.is_open else "closed",
        "acknowledged": alarm.acknowledged_by is not None,
        "acknowledged_by": alarm.acknowledged_by,
        "seq": alarm.seq,
        "onset_ms": alarm.onset_ms,
        "raised_ms": alarm.raised_ms,
        "closed_ms": alarm.closed_ms,
        "closed_reason": alarm.closed_reason,
        "disposition": alarm.disposition,
        "value": alarm.value,
        "limit": alarm.limit,
        "rule_type": rule.type if rule else None,
        "limits": [{"severity": severity, "value": value} for severity, value in alarm.limits],
        "forecast": None
        if alarm.forecast is None
        else {
            "minutes": alarm.forecast.minutes,
            "low": alarm.forecast.low,
            "high": alarm.forecast.high,
            "at_ms": alarm.forecast.at_ms,
        },
        "why": _why(alarm, rule, _UNITS.get(unit, unit), metric.decimals if metric else 1),
        "advice": _both(rule.advice) if rule and rule.advice else {"en": "", "zh": ""},
    }


def _both(text: Text) -> dict[str, str]:
    return {"en": text.en, "zh": text.zh}


def _why(alarm: Alarm, rule: Rule | None, unit: str, decimals: int) -> dict[str, str]:
    """Why this alarm, with the numbers that decided it."""
    if alarm.metric == ONLINE:
        return {
            "en": "The gateway is offline; it keeps its readings until it is back",
            "zh": "网关离线；读数保存在网关，恢复后补传",
        }
    if rule is None or isinstance(rule, SilenceRule) or alarm.limit is None or alarm.value is None:
        heard = "" if alarm.value is None else f"{alarm.value:.{decimals}f} {unit}".strip()
        if alarm.severity_max > getattr(rule, "severity", alarm.severity_max):
            return {
                "en": f"No reading any more, and it went silent while in alarm or rising; last value {heard}",
                "zh": f"已无读数，且失联前正处于报警或上升中；最后读数 {heard}",
            }
        if not heard:
            return {"en": "No reading has ever arrived", "zh": "从未收到读数"}
        return {"en": f"No reading any more; last value {heard}", "zh": f"已无读数；最后读数 {heard}"}
    if isinstance(rule, ForecastRule):
        minutes = f"{alarm.value:.0f}"
        band = ""
        if alarm.forecast and alarm.forecast.low is not None and alarm.forecast.high is not None:
            band = f" ({alarm.forecast.low:.0f}–{alarm.forecast.high:.0f})"
        return {
            "en": f"At the present rise the limit is reached in {minutes} min{band}",
            "zh": f"按当前上升速度，约 {minutes} 分钟{band}后到达上限",
        }
    per = "/min" if isinstance(rule, RateRule) else ""
    digits = decimals + 1 if per else decimals
    value, limit = f"{alarm.value:.{digits}f} {unit}{per}".strip(), f"{alarm.limit:.{digits}f} {unit}{per}".strip()
    share_en = share_zh = ""
    if isinstance(rule, LevelRule) and rule.relative_to == "depth":
        level = min(rule.levels, key=lambda level: abs(level.severity - alarm.severity))
        share_en, share_zh = f" ({level.limit:.0%} of the depth)", f"（井深的 {level.limit:.0%}）"
    if any(level.at_most is not None for level in rule.levels):
        return {"en": f"{value} is at or below {limit}{share_en}", "zh": f"{value}，低于或等于限值 {limit}{share_zh}"}
    return {"en": f"{value} is at or above {limit}{share_en}", "zh": f"{value}，达到或超过限值 {limit}{share_zh}"}
