"""Writes the pages of the documentation that are made from the code and from records: settings, commands, capacity.

    python -m deploy.reference

What a setting means is said once: in a table of docs/configuration.md, or beside its field. Names, types, defaults and limits
are the models' own.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import annotated_types
import typer
from firmware_sim.__main__ import app as sim_app
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from alerts.notify.channels import WebhookSettings
from alerts.notify.chat import AppriseSettings, ChatSettings
from alerts.notify.mail import MailSettings
from gatehouse.__main__ import app
from gatehouse.settings import PREFIX, Settings
from gateway.settings import ENV_PREFIX, GatewaySettings
from ingest.history.settings import InfluxSettings, ParquetSettings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
RECORD = ROOT / "bench" / "record"
_MADE = "<!-- Made by `make reference`; do not edit it. -->\n\n"
_UNITS = {"s": "s", "ms": "ms", "mb": "MB", "kb": "kB", "hours": "h", "days": "days", "percent": "%"}
# One of several models, each with a table or page of its own.
_ELSEWHERE = ("history", "channels", "drivers", "exports")
_CHANNELS: dict[str, type[BaseModel]] = {
    "webhook": WebhookSettings,
    "mail": MailSettings,
    "dingtalk, wecom, feishu": ChatSettings,
    "apprise": AppriseSettings,
}
# What neither the table nor a comment says, because the name and its section do to who reads the code.
_PLAIN = {
    "audit.anchor.channel": "the channel's name under `channels`",
    "audit.anchor.to": "people who have an address there",
    "api.openid.issuer": "the provider's address",
    "api.openid.client_id": "our name at the provider",
    "api.openid.client_secret": "our secret there",
    "broker.tls.ca": "certificate of the authority by which the broker is known",
    "broker.tls.certificate": "PEM file by which the broker knows us",
    "heartbeat.device": "whose readings show that all is well",
    "heartbeat.metric": "which of its metrics",
    "heartbeat.every_s": "how often",
    "history.store": "which history there is",
    "outputs.NAME.on": "what is written to switch it on",
    "outputs.NAME.off": "what is written to switch it off",
    "outputs.NAME.modbus.host": "the unit's address",
    "outputs.NAME.modbus.port": "its TCP port",
    "outputs.NAME.modbus.unit": "its number",
    "local_alarms[].rule": "id of the core's rule",
    "local_alarms[].device": "whose readings are judged",
    "local_alarms[].metric": "which of its metrics",
    "local_alarms[].at_least": "alarm from this value up, in the metric's unit",
    "local_alarms[].at_most": "or from this value down",
    "local_alarms[].for_s": "how long the limit must have been reached",
    "local_alarms[].per_passage": "each passage is judged alone",
    "local_alarms[].output": "the output that is on meanwhile",
    "rates[].device": "whose counter it is",
    "channels.NAME.type": "the sort of channel",
    "channels.NAME.url": "where it is",
    "channels.NAME.host": "the mail server",
    "channels.NAME.port": "its port",
    "channels.NAME.security": "how the connection is encrypted",
    "channels.NAME.from": "the sender's address",
    "channels.NAME.username": "who we are there",
    "channels.NAME.password": "and with which password",
    "channels.NAME.timeout_s": "how long one attempt may take",
    "channels.NAME.heartbeat": "whether it is sent the [heartbeat](../notices.md#heartbeat)",
    "channels.NAME.templates": "[texts of your own](../notices.md#texts-of-your-own) by language",
}


@dataclass(frozen=True)
class Setting:
    """One scalar or list of a configuration file, as a row of a table."""

    name: str
    kind: str
    default: str
    unit: str
    meaning: str
    variable: str


def settings_of(model: type[BaseModel], prefix: str, said: dict[str, str], env: str = "") -> Iterator[Setting]:
    """Every setting of a model and its sections, in their order. Raises KeyError: nothing says what one means."""
    beside = _comments(model)
    for attribute, field in model.model_fields.items():
        key = field.alias or attribute
        name = prefix + key
        section, many = _section(field)
        if name in _ELSEWHERE:
            continue
        if section is not None and many != "list":
            yield from settings_of(section, f"{name}.NAME." if many else f"{name}.", said, "" if many else env)
        elif section is not None and section.__module__.startswith("gateway.dr") | section.__module__.endswith(
            "export"
        ):
            continue  # drivers and exports: each has a page of its own
        elif section is not None:
            yield from settings_of(section, f"{name}[].", said)
        else:
            meaning = said.get(name) or beside.get(attribute) or _PLAIN.get(name)
            if meaning is None:
                raise KeyError(f"{name}: say what it means in docs/configuration.md, or beside its field")
            suffix = key.rsplit("_", 1)[-1]
            variable = f"{env}{name.replace('.', '__').upper()}" if env and "[" not in name else ""
            yield Setting(name, _kind(field), _default(field), _UNITS.get(suffix, ""), meaning, variable)


def every_setting() -> tuple[list[Setting], ...]:
    """Of the server, of each history, of each sort of channel, of a gateway."""
    said = _said()
    return (
        list(settings_of(Settings, "", said, PREFIX)),
        *(list(settings_of(model, "history.", said, PREFIX)) for model in (ParquetSettings, InfluxSettings)),
        *(list(settings_of(model, "channels.NAME.", {})) for model in _CHANNELS.values()),
        list(settings_of(GatewaySettings, "", said, ENV_PREFIX)),
    )


def settings_page() -> str:
    """docs/reference/configuration.md."""
    parts = [
        "# Every setting · 全部设置\n",
        "\nNames, types, defaults and limits as the program checks them. How they play together, and how rules, catalogue,\n"
        "people and duties are written, is told in [configuration](../configuration.md).\n",
        "\n本页由程序的数据模型生成：名称、类型、默认值与取值范围即程序实际校验的内容；各项如何配合使用，\n"
        "见 [configuration](../configuration.md)（英文）。\n",
        "\n– means that it must be given, *none* that it may be left out; the variable is the environment's name for it.\n",
        "“–”表示必填，*none* 表示可不填；最后一列为对应的环境变量。\n",
    ]
    server, parquet, influx, *channels, gateway = every_setting()
    parts += _sections(server, "The server · 服务器")
    parts += ["\n## History · 历史数据\n", "\n### `history.store: parquet`\n\n"]
    parts += _table(parquet)
    parts += ["\n### `history.store: influxdb`\n\n", *_table(influx)]
    parts += ["\n## Channels · 通知渠道\n", "\nUnder `channels`, each by a name of your choice.\n"]
    for kind, rows in zip(_CHANNELS, channels, strict=True):
        parts += [f"\n### `type: {kind}`\n\n", *_table(rows)]
    parts += _sections(gateway, "A gateway · 网关")
    parts += [
        "\nEntries of `drivers` and `exports`: the pages that [devices](../devices.md) lists.\n",
    ]
    return _MADE + "".join(parts)


def commands_page() -> str:
    """docs/reference/commands.md."""
    parts = [
        "# Every command · 全部命令\n",
        "\n`gatehouse COMMAND --help` says the same. What is **bold** must be given.\n"
        "本页由程序生成，与 `gatehouse COMMAND --help` 一致。**粗体**项必填。\n",
    ]
    for path, command in commands():
        parts.append(f"\n## `gatehouse {' '.join(path)}`\n\n{_line(command.help or '')}\n")
        rows = []
        for param in command.params:
            if param.name == "help":
                continue
            is_option = param.opts[0].startswith("-")
            shown = "`" + "`, `".join(param.opts if is_option else [param.name.upper()]) + "`"
            default = param.default if param.default not in (None, (), []) and not callable(param.default) else ""
            if isinstance(default, Path) and default.is_absolute():
                default = default.relative_to(ROOT)
            default = "" if isinstance(default, bool) or str(default) == "" else f"`{default}`"
            rows.append(f"| {f'**{shown}**' if param.required else shown} | {default} | {_cell(param.help or '')} |\n")
        if rows:
            parts += ["\n| | default | |\n|---|---|---|\n", *rows]
    return _MADE + "".join(parts)


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that can be called, those of `gatehouse sim` too."""
    yield from _commands((), typer.main.get_command(app))
    yield from _commands(("sim",), typer.main.get_command(sim_app))


def capacity_page(language: str) -> str:
    """docs/capacity.md and docs/zh/capacity.md, from the records of the benches."""
    behind, receipt, restart = (_report(name) for name in ("behind", "receipt", "restart"))
    rules, telegraf = _report("rules"), _report("telegraf")
    single = next(t for t in telegraf["tables"] if "single" in t["title"])["rows"][0]
    many = next(t for t in telegraf["tables"] if "a message" in t["title"])["rows"][0]
    loaded, slow = receipt["tables"][0]["rows"]
    p99 = receipt["tables"][0]["columns"].index("p99")
    most = re.search(r"the most is ([\d,]+)", receipt["tables"][0]["title"])
    assert most is not None
    memory = max(goal["figure"] for goal in behind["goals"] if "MB" in goal["what"])
    stormy = min(row[2] for row in rules["tables"][0]["rows"])
    machine = receipt["machine"]
    figures = {
        "from_gateways": _round(float(most[1].replace(",", ""))),
        "single": _round(single[2]),
        "many": _round(many[2]),
        "half": _round(loaded[1]),
        "half_p99": f"{loaded[p99]:.0f}",
        "slow_p99": f"{slow[p99]:.0f}",
        "behind": _round(behind["tables"][0]["rows"][1][7]),
        "memory": f"{memory:.0f}",
        "restart": f"{restart['tables'][0]['rows'][0][0]:.1f}",
        "stormy": f"{stormy:.0f}",
        "machine": f"{machine['cores']} × {machine['cpu']}",
        "date": machine["date"][:10],
    }
    sites = []
    for name, devices, every_s in _SITES:
        rate = devices / every_s
        # Of the slowest way in: single JSON readings, without a gateway that puts them into frames.
        share = rate / single[2] * 100
        sites.append((name[language], devices, every_s, rate, share))
    template = (ROOT / "deploy" / "site" / f"capacity.{language}.md").read_text(encoding="utf-8")
    rows = "".join(f"| {n} | {d:,} | {e} | {r:,.1f} | {s:.2f} % |\n" for n, d, e, r, s in sites)
    return _MADE + template.format(**figures, sites=rows.rstrip("\n"))


_SITES = (
    ({"en": "a compound: gate, drains, one dormitory", "zh": "一个院区：门岗、排水、一栋宿舍"}, 500, 15),
    ({"en": "a district of ten such", "zh": "十个同样院区组成的一个区"}, 5_000, 15),
    ({"en": "a campus: 5,000 rooms, electricity and water", "zh": "一个校区：5,000 间房的水电表"}, 10_000, 60),
    ({"en": "a city's drains and dormitories", "zh": "一座城市的排水与宿舍"}, 100_000, 60),
)


def pages() -> dict[Path, str]:
    """What stands in each page that is made here."""
    return {
        DOCS / "reference" / "configuration.md": settings_page(),
        DOCS / "reference" / "commands.md": commands_page(),
        DOCS / "capacity.md": capacity_page("en"),
        DOCS / "zh" / "capacity.md": capacity_page("zh"),
    }


def _sections(rows: list[Setting], title: str) -> list[str]:
    parts = [f"\n## {title}\n\n", *_table([row for row in rows if re.fullmatch(r"\w+", row.name)])]
    for section in dict.fromkeys(re.split(r"[.\[]", row.name)[0] for row in rows if not re.fullmatch(r"\w+", row.name)):
        inside = [row for row in rows if re.match(rf"{section}[.\[]", row.name)]
        parts += [f"\n### `{section}`\n\n", *_table(inside)]
    return parts


def _table(rows: typing.Iterable[Setting]) -> list[str]:
    rows = list(rows)
    has_variable = any(row.variable for row in rows)
    head = "| setting | type | default | unit | what it does |" + (" variable |" if has_variable else "")
    parts = [head + "\n", "|---|---|---|---|---|" + ("---|" if has_variable else "") + "\n"]
    for row in rows:
        variable = (f" `{row.variable}` |" if row.variable else "  |") if has_variable else ""
        parts.append(f"| `{row.name}` | {row.kind} | {row.default} | {row.unit} | {_cell(row.meaning)} |{variable}\n")
    return parts


def _said() -> dict[str, str]:
    """What the tables of docs/configuration.md say of each setting that they name."""
    found: dict[str, str] = {}
    for line in (DOCS / "configuration.md").read_text(encoding="utf-8").splitlines():
        row = re.fullmatch(r"\| (`[a-z].*?`) \| (.*?) \| (.*) \|", line)
        if row:
            names = re.findall(r"`([a-z_.]+)`", row[1])
            # A row of several repeats their names at its end, so that each is found by a search.
            repeated = ": " + " and ".join(f"`{name}`" for name in names)
            meaning = re.sub(r"\]\((?!\w+:)([^)]+)\)", r"](../\1)", row[3].removesuffix(repeated))
            meaning = meaning.replace("](../#", "](../configuration.md#").replace("[below]", "[configuration]")
            meaning = meaning.replace("is said below", "is said in [configuration](../configuration.md#a-gateway)")
            found |= dict.fromkeys(names, meaning)
    return found


def _comments(model: type[BaseModel]) -> dict[str, str]:
    """The comment beside each field, or above it."""
    found: dict[str, str] = {}
    above: list[str] = []
    for cls in reversed(model.__mro__):
        if not issubclass(cls, BaseModel) or cls is BaseModel:
            continue
        for line in inspect.getsource(cls).splitlines():
            field = re.match(r"    ([a-z]\w*): .*?(?:  # (.*))?$", line)
            comment = re.match(r"    # (.*)", line)
            if comment:
                above.append(comment[1])
                continue
            if field and (text := field[2] or " ".join(above)):
                found[field[1]] = text.rstrip(".")
            above = []
    return found


def _section(field: FieldInfo) -> tuple[type[BaseModel] | None, str]:
    """The model that a field holds, if it is one, and whether it is of a `dict` or `list`."""
    kind: Any = field.annotation
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        models = [a for a in typing.get_args(kind) if isinstance(a, type) and issubclass(a, BaseModel)]
        kind = models[0] if len(models) == 1 else None
    many = {tuple: "list", dict: "dict"}.get(typing.get_origin(kind), "")
    if many:
        kind = next((a for a in typing.get_args(kind) if isinstance(a, type) and issubclass(a, BaseModel)), None)
    return (kind, many) if isinstance(kind, type) and issubclass(kind, BaseModel) else (None, many)


_WORDS = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", SecretStr: "secret"}


def _kind(field: FieldInfo) -> str:
    kind = _word(field.annotation)
    limits = []
    for each in field.metadata:
        match each:
            case annotated_types.Ge(ge=low):
                limits.append(f"≥ {low}")
            case annotated_types.Gt(gt=low):
                limits.append(f"> {low}")
            case annotated_types.Le(le=high):
                limits.append(f"≤ {high:,}" if isinstance(high, int) else f"≤ {high}")
            case annotated_types.Lt(lt=high):
                limits.append(f"< {high}")
            case _:
                pass
    return ", ".join([kind, *limits])


def _word(kind: Any) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if origin is typing.Annotated:
        return _word(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_word(each) for each in arguments if each is not type(None))
    if origin is tuple:
        return f"list of {_word(arguments[0])}"
    if origin is dict:
        return f"mapping of {_word(arguments[1])}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{each.value}`" for each in kind)
    return {"HttpUrl": "URL", "IPvAnyNetwork": "network"}.get(kind.__name__, str(kind.__name__))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "–"
    value = field.default
    if value is None or value == () or value == {}:
        return "*none*"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def _commands(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    if getattr(command, "invoke_without_command", False):
        yield path, command
    for name, each in inner.items():
        yield from _commands((*path, name), each)


def _report(name: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((RECORD / f"{name}.json").read_text(encoding="utf-8"))
    return report


def _round(figure: float) -> str:
    """Two digits: the machine is shared."""
    return f"{float(f'{figure:.2g}'):,.0f}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _line(text).replace("|", r"\|")


def main() -> None:
    """Write them."""
    for page, text in pages().items():
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
