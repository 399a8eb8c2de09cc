"""What an alarm says to people, in both languages: what, where, value against limit, since when, why, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from alerts.alarm import Alarm, Forecast
from alerts.detectors.trend import ForecastRule, RateRule
from alerts.escalation import DAMAGED, DUTY_MISSED, OURS, SYSTEM, UNANSWERED, UNDELIVERED, UNSTORED
from alerts.rule import LevelledRule, Shown
from alerts.rules import InferredRule, LevelRule, Rule, SilenceRule
from telemetry.catalogue import Catalogue, Place, Text
from telemetry.series import ONLINE

_FORESEEABLE_MIN = 24 * 60.0  # a rise that needs longer is none that a clock time could be told for
_OURS = {
    UNANSWERED: {"en": "Nobody has acknowledged an alarm", "zh": "告警无人确认"},
    DAMAGED: {"en": "Records of the journal are damaged", "zh": "日志记录损坏"},
    UNDELIVERED: {"en": "Messages do not get through", "zh": "通知无法送达"},
    UNSTORED: {"en": "History does not let us in", "zh": "历史库拒绝访问"},
    DUTY_MISSED: {"en": "A daily duty was missed", "zh": "日常任务漏办"},
    "disk-low": {"en": "A disk fills up", "zh": "磁盘空间不足"},
    "certificate-ends": {"en": "A certificate ends", "zh": "证书即将到期"},
    "clock-wrong": {"en": "A clock is wrong", "zh": "时钟不准"},
    "backup-old": {"en": "There is no recent backup", "zh": "备份过期"},
    "incomplete": {"en": "Yesterday's readings are incomplete", "zh": "昨日数据不完整"},
    "spool-full": {"en": "A gateway's disk is full", "zh": "网关缓存已满"},
    "spool-damaged": {"en": "A gateway's disk has lost readings", "zh": "网关缓存损坏"},
}
_ADVICE_OURS = {
    UNANSWERED: {"en": "See to the alarm, then to the duty roster.", "zh": "先处理该告警，再检查值班表。"},
    DAMAGED: {"en": "Look at the disk; make the days anew.", "zh": "检查磁盘，并重建相关日期的历史数据。"},
    UNDELIVERED: {"en": "Look at the channel's address and secret.", "zh": "检查通道的地址与密钥。"},
    UNSTORED: {"en": "Put token or bucket right.", "zh": "修正令牌或存储桶。"},
    DUTY_MISSED: {"en": "Do it now, and sign it off as late.", "zh": "请立即补做，并在“日常任务”页面补签。"},
    "disk-low": {"en": "Make room before it is full.", "zh": "请在磁盘写满之前腾出空间。"},
    "certificate-ends": {"en": "Renew it and copy it to where it is used.", "zh": "续签证书并复制到使用处。"},
    "clock-wrong": {"en": "Set the clock, and what sets it by itself.", "zh": "校准时钟，并检查自动对时。"},
    "backup-old": {"en": "Make one now, then mend what makes them.", "zh": "立即备份，并修复定时备份。"},
    "incomplete": {"en": "Look which devices are missing.", "zh": "查看缺少哪些设备的数据。"},
    "spool-full": {"en": "Mend its connection, or give it more room.", "zh": "恢复网关网络，或增大缓存空间。"},
    "spool-damaged": {"en": "Look at the gateway's disk; replace it.", "zh": "检查并更换网关的存储盘。"},
}
_WHY_FAULT = {
    "disk-low": {
        "en": "The disk that holds '{}' has little room left; when it is full, readings wait at the gateways",
        "zh": "存放“{}”的磁盘空间不足；写满后读数将滞留在网关",
    },
    "certificate-ends": {
        "en": "The certificate '{}' ends soon or has ended; whoever it belongs to is then refused by the broker",
        "zh": "证书“{}”即将到期或已到期；到期后其持有者将被消息代理拒绝",
    },
    "clock-wrong": {
        "en": "The clock of '{}' does not agree with the others; times of readings and alarms are doubtful",
        "zh": "“{}”的时钟与其他设备不一致；读数与告警的时间不可靠",
    },
    "backup-old": {
        "en": "The newest backup in '{}' is too old; a broken disk would cost everything since",
        "zh": "“{}”中最新的备份已过期；磁盘损坏将丢失此后的全部数据",
    },
    "incomplete": {
        "en": "Of what was due yesterday at '{}' too much has not arrived",
        "zh": "“{}”昨日应到的读数缺失过多",
    },
    "spool-full": {
        "en": "The disk budget of '{}' is used up; it thins out what waits, and keeps what alarms need for last",
        "zh": "“{}”的缓存额度已用尽；积压数据将被抽稀，告警所需的数据保留到最后",
    },
    "spool-damaged": {
        "en": "What waited on the disk of '{}' cannot be read any more; it was set aside, and has not arrived",
        "zh": "“{}”缓存中的部分数据无法读取，已隔离，尚未送达",
    },
}
_UNITS = {"degC": "°C", "m3": "m³", "1": ""}


def document(alarm: Alarm, rule: Rule | None, catalogue: Catalogue) -> dict[str, Any]:
    """The alarm as the API, MQTT and the webhook give it."""
    metric = catalogue.metric.get((alarm.device, alarm.metric))
    unit = metric.unit if metric else "1"
    path = catalogue.path_of(alarm.place) if alarm.place in catalogue.place else ()
    # A duty is a site's, and of no place in it.
    named = [place.name for place in path] or [
        catalogue.site[s].name for s in (alarm.site,) if alarm.said and s in catalogue.site
    ]
    return {
        "id": alarm.id,
        "rule": alarm.rule,
        "rule_name": _both(rule.name) if rule else _OURS.get(alarm.rule, {"en": alarm.rule, "zh": alarm.rule}),
        "class": alarm.alarm_class,
        "site": alarm.site,
        "timezone": _zone(alarm, catalogue).key,
        "place": alarm.place,
        "place_name": {
            "en": " / ".join(name.en for name in named),
            "zh": " / ".join(name.zh for name in named),
        },
        "device": alarm.device,
        "metric": alarm.metric,
        "unit": _unit_of_value(rule, unit),
        "key": alarm.key,
        "severity": alarm.severity.word,
        "severity_max": alarm.severity_max.word,
        "state": "open" if alarm.is_open else "closed",
        "acknowledged": alarm.acknowledged_by is not None,
        "acknowledged_by": alarm.acknowledged_by,
        "assigned_to": alarm.assigned_to,
        "seq": alarm.seq,
        "onset_ms": alarm.onset_ms,
        "raised_ms": alarm.raised_ms,
        "closed_ms": alarm.closed_ms,
        "closed_reason": alarm.closed_reason,
        "disposition": alarm.disposition,
        "value": alarm.value,
        "limit": alarm.limit,
        "rule_type": rule.type if rule else None,
        "recheck": None if alarm.recheck is None else msgspec.to_builtins(alarm.recheck),
        "masks": [
            {"id": m.id, "kind": m.kind, "owner": m.owner, "reason": m.reason, "until_ms": m.until_ms}
            for m in alarm.masks
        ],
        "latched": alarm.over_ms is not None and not alarm.flapping,
        "flapping": alarm.flapping,
        "limits": [{"severity": severity, "value": value} for severity, value in alarm.limits],
        "forecast": None
        if alarm.forecast is None
        else {
            "minutes": alarm.forecast.minutes,
            "low": alarm.forecast.low,
            "high": alarm.forecast.high,
            "at_ms": alarm.forecast.at_ms,
        },
        "why": _why(
            alarm, rule, _UNITS.get(unit, unit), metric.decimals if metric else 1, _zone(alarm, catalogue), path
        ),
        "advice": _advice(alarm, rule),
        "runbook": _runbook(alarm, rule),
    }


def _advice(alarm: Alarm, rule: Rule | None) -> dict[str, str]:
    ours = _ADVICE_OURS.get(alarm.rule) if _runbook(alarm, rule) else None
    if ours is not None:
        page = f"docs/runbook/{alarm.rule}.md"
        return {"en": f"{ours['en']} Step by step: {page}", "zh": f"{ours['zh']}操作步骤：{page}"}
    return _both(rule.advice) if rule and rule.advice else {"en": "", "zh": ""}


def _runbook(alarm: Alarm, rule: Rule | None) -> str | None:
    """Where the API shows what to do, step by step; only of alarms about ourselves."""
    return f"/api/v1/runbook/{alarm.rule}" if rule is None and alarm.rule in OURS else None


def _unit_of_value(rule: Rule | None, unit: str) -> str:
    """Of value and limit. Of a rate it is the metric's and goes by the minute, of a forecast both are minutes."""
    if isinstance(rule, InferredRule):
        return "1"
    if isinstance(rule, LevelledRule) and rule.shown is not None and not rule.is_per_passage:
        return rule.shown.unit.replace("{unit}", unit) or "1"
    return unit


def _both(text: Text) -> dict[str, str]:
    return {"en": text.en, "zh": text.zh}


def _zone(alarm: Alarm, catalogue: Catalogue) -> ZoneInfo:
    site = catalogue.site.get(alarm.site) or next(iter(catalogue.sites), None)
    return ZoneInfo(site.timezone if site else "UTC")


def _why(
    alarm: Alarm, rule: Rule | None, unit: str, decimals: int, zone: ZoneInfo, path: Sequence[Place]
) -> dict[str, str]:
    """Why this alarm, with the numbers that decided it."""
    if alarm.said is not None and rule is None:
        return dict(alarm.said)
    if alarm.alarm_class == SYSTEM and rule is None:
        return _why_ours(alarm)
    if alarm.metric == ONLINE:
        if not alarm.is_open:
            return {"en": "The gateway was offline; it has kept its readings", "zh": "网关曾离线；读数已保存并补传"}
        return {
            "en": "The gateway is offline; it keeps its readings until it is back",
            "zh": "网关离线；读数保存在网关，恢复后补传",
        }
    if isinstance(rule, ForecastRule):
        return _why_forecast(alarm.forecast, zone)
    if isinstance(rule, InferredRule):
        count = 0 if alarm.value is None else round(alarm.value)
        return {"en": f"{count} devices there fell out together", "zh": f"该处 {count} 台设备同时失联"}
    if rule is None or isinstance(rule, SilenceRule) or alarm.limit is None or alarm.value is None:
        heard = "" if alarm.value is None else f"{alarm.value:.{decimals}f} {unit}".strip()
        if alarm.severity_max > getattr(rule, "severity", alarm.severity_max):
            return {
                "en": f"No usable reading any more, and it went silent while in alarm or rising; last value {heard}",
                "zh": f"已无有效读数，且失联前正处于告警或上升中；最后读数 {heard}",
            }
        if not heard:
            return {"en": "No usable reading has ever arrived", "zh": "从未收到有效读数"}
        return {"en": f"No usable reading any more; last value {heard}", "zh": f"已无有效读数；最后读数 {heard}"}
    if isinstance(rule, LevelledRule) and rule.shown is not None:
        if rule.is_per_passage:
            return _why_person(rule.shown, f"{alarm.value:.{decimals}f} {unit}", alarm.limit)
        return _why_signal(rule, rule.shown, alarm.value, alarm.limit, unit)
    per = "/min" if isinstance(rule, RateRule) else ""
    digits = decimals + 1 if per else decimals
    value, limit = f"{alarm.value:.{digits}f} {unit}{per}".strip(), f"{alarm.limit:.{digits}f} {unit}{per}".strip()
    if per and unit == "m":
        value, limit = f"{100 * alarm.value:.1f} cm/min", f"{100 * alarm.limit:.1f} cm/min"
    share_en = share_zh = ""
    if isinstance(rule, LevelRule) and rule.relative_to == "depth":
        levels = rule.levels_at(alarm.device, path)
        level = min(levels, key=lambda level: abs(level.severity - alarm.severity))
        share_en, share_zh = f" ({level.limit:.0%} of the depth)", f"（井深的 {level.limit:.0%}）"
    ways = {level.at_most is not None for level in rule.levels_at(alarm.device, path)}
    if alarm.value <= alarm.limit if len(ways) > 1 else ways == {True}:
        return {"en": f"{value} is at or below {limit}{share_en}", "zh": f"{value}，低于或等于限值 {limit}{share_zh}"}
    return {"en": f"{value} is at or above {limit}{share_en}", "zh": f"{value}，达到或超过限值 {limit}{share_zh}"}


def _why_ours(alarm: Alarm) -> dict[str, str]:
    if alarm.rule == UNANSWERED:
        return {
            "en": f"Everybody was called for alarm {alarm.key} of rule {alarm.device}, and nobody has acknowledged it",
            "zh": f"规则 {alarm.device} 的告警 {alarm.key} 已通知所有人员，仍无人确认",
        }
    if alarm.rule == DAMAGED:
        return {
            "en": f"Records {alarm.device} cannot be trusted and are passed over; what gateways still hold is sent again",
            "zh": f"记录 {alarm.device} 不可信，已跳过；网关仍保存的数据将重新发送",
        }
    if alarm.rule == UNSTORED:
        return {
            "en": f"{alarm.device} refuses the core; readings wait in the journal until its token or bucket is put right",
            "zh": f"{alarm.device} 拒绝核心写入；读数保存在日志中，直至令牌或存储桶恢复正常",
        }
    if alarm.rule in _WHY_FAULT:
        return {language: said.format(alarm.device) for language, said in _WHY_FAULT[alarm.rule].items()}
    whom_en, whom_zh = ("", "") if alarm.key is None else (f" to {alarm.key}", f"（收件人 {alarm.key}）")
    return {
        "en": f"Channel {alarm.device} does not deliver{whom_en}; messages wait, or go by the next channel",
        "zh": f"通道 {alarm.device}{whom_zh} 无法送达；通知等待重发，或改用下一通道",
    }


def _why_signal(rule: LevelledRule, shown: Shown, value: float, limit: float, metric_unit: str) -> dict[str, str]:
    """Of a detector that is about another number than its metric."""
    unit = shown.unit.replace("{unit}", metric_unit)
    seen, held_to = (f"{number:.{shown.decimals}f} {unit}".strip() for number in (value, limit))
    below = any(level.at_most is not None for level in rule.levels)
    return {
        "en": f"{shown.en}: {seen}, at or {'below' if below else 'above'} {held_to}",
        "zh": f"{shown.zh}：{seen}，{'低于' if below else '高于'}或等于限值 {held_to}",
    }


def _why_person(shown: Shown, seen: str, limit: float) -> dict[str, str]:
    """Of a detector that judges each passage: the alarm has what was shown, which the limit is not about."""
    held_to = f"{limit:.{shown.decimals}f} {shown.unit}".strip()
    return {
        "en": f"{seen} was shown; {shown.en[0].lower()}{shown.en[1:]} it is at or above {held_to}",
        "zh": f"显示 {seen}；{shown.zh}达到或超过限值 {held_to}",
    }


def _why_forecast(forecast: Forecast | None, zone: ZoneInfo) -> dict[str, str]:
    """A clock time stays true when the message is read later; minutes do not."""
    if forecast is None or forecast.minutes > _FORESEEABLE_MIN:
        return {"en": "The rise has slowed; the limit is not in sight at present", "zh": "上升已减缓，目前不会到达上限"}

    def clock(minutes: float) -> str:
        return datetime.fromtimestamp(forecast.at_ms / 1000 + 60 * minutes, zone).strftime("%H:%M")

    band_en = band_zh = ""
    if forecast.low is not None and forecast.high is not None and forecast.high <= _FORESEEABLE_MIN:
        band_en = f" (between {clock(forecast.low)} and {clock(forecast.high)})"
        band_zh = f"（{clock(forecast.low)} 至 {clock(forecast.high)} 之间）"
    at, seen = clock(forecast.minutes), clock(0)
    return {
        "en": f"At the rise seen at {seen} the limit is reached at about {at}{band_en}",
        "zh": f"按 {seen} 的上升速度，预计 {at} 左右到达上限{band_zh}",
    }
