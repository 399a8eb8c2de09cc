"""The ways to people, against servers on the loopback that take, refuse and lie."""

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from email.message import Message
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from aiosmtpd.controller import Controller
from pydantic import ValidationError

from alerts.notify.chat import AppriseChannel, AppriseSettings, ChatChannel, ChatSettings
from alerts.notify.heartbeat import Heartbeat, HeartbeatSettings
from alerts.notify.mail import MailChannel, MailSettings
from alerts.store import Notice
from telemetry.clock import ManualClock
from telemetry.errors import BadInput, Unavailable
from tests import servers
from tests.alerts.dripping import Dripping

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # of a library, as it looks at attachments

NOTICE = Notice(1, "a1/1/mail/li/0", 0, 0, {"what": "raised"}, "li", "水位过高 · 一号井", "位置：一号井", "call")
NOW_MS = 1_795_000_000_000


class Mailbox:
    """What a mail server does with what it gets."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.recipient_answer = "250 OK"
        self.data_answer = "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if self.recipient_answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.recipient_answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.taken.append(envelope.content)
        return self.data_answer


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, MailChannel]]:
    box = Mailbox()
    port = servers.free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    given = {"type": "mail", "host": "127.0.0.1", "port": port, "security": "none", "from": "alarms@example.org"}
    yield box, MailChannel(MailSettings.model_validate(given), {"li": "li@example.org"})
    controller.stop()


def test_a_mail_carries_the_key_as_its_message_id(mail: tuple[Mailbox, MailChannel]) -> None:
    from email import message_from_bytes, policy

    box, channel = mail
    for _ in range(2):
        channel.deliver(NOTICE)
    first, again = (message_from_bytes(raw, policy=policy.default) for raw in box.taken)
    assert isinstance(first, Message)
    assert first["Message-ID"] == again["Message-ID"] == "<a1/1/mail/li/0@gatehouse>"
    assert first["To"] == "li@example.org"
    assert first["Subject"] == "水位过高 · 一号井"
    assert "位置：一号井" in first.get_content()


@pytest.mark.parametrize(
    ("recipient", "data", "error"),
    [
        ("550 no such user", "250 OK", BadInput),
        ("450 greylisted", "250 OK", Unavailable),
        ("250 OK", "554 refused", BadInput),
        ("250 OK", "451 later", Unavailable),
    ],
)
def test_what_a_mail_server_says_decides_whether_it_is_asked_again(
    mail: tuple[Mailbox, MailChannel], recipient: str, data: str, error: type[Exception]
) -> None:
    box, channel = mail
    box.recipient_answer, box.data_answer = recipient, data
    with pytest.raises(error):
        channel.deliver(NOTICE)


def test_nothing_goes_out_in_the_clear_where_tls_is_asked_for(mail: tuple[Mailbox, MailChannel]) -> None:
    box, channel = mail
    channel._settings = channel._settings.model_copy(update={"security": "starttls"})
    with pytest.raises(Unavailable, match="STARTTLS"):
        channel.deliver(NOTICE)
    assert box.taken == []


def test_a_mail_server_that_is_away_is_asked_again() -> None:
    given = {"type": "mail", "host": "127.0.0.1", "port": 9, "security": "none", "from": "a@b"}
    with pytest.raises(Unavailable):
        MailChannel(MailSettings.model_validate(given), {"li": "x@y"}).deliver(NOTICE)


def test_a_mail_server_that_answers_a_byte_at_a_time_is_left_in_the_end() -> None:
    server = Dripping(b"220", b"-", waits=False)
    given = {
        "type": "mail", "host": "127.0.0.1", "port": server.port, "security": "none", "from": "a@b", "timeout_s": 0.2
    }  # fmt: skip
    channel, said = MailChannel(MailSettings.model_validate(given), {"li": "x@y"}), list[str]()

    def send() -> None:
        try:
            channel.deliver(NOTICE)
        except Unavailable as error:
            said.append(str(error))

    assert server.is_left_by(send)
    assert len(said) == 1


@pytest.mark.parametrize("address", ["li@", "<", '"', "li@[", "li\n@example.org", "li <"])
def test_an_address_that_is_none_is_refused_and_stops_nobody(mail: tuple[Mailbox, MailChannel], address: str) -> None:
    box, channel = mail
    channel._addresses = {"li": address}
    with pytest.raises(BadInput, match="the address of 'li' is none"):
        channel.deliver(NOTICE)
    assert box.taken == []


@pytest.mark.parametrize(
    "wrong",
    [{"from": "alarms@"}, {"from": "a@b\nBcc: c@d"}, {"username": "李"}, {"username": "a", "password": "geheimä"}],
)
def test_what_no_mail_can_be_sent_with_is_a_mistake_in_the_settings_and_no_secret_is_shown(
    wrong: dict[str, str],
) -> None:
    given = {"type": "mail", "host": "mail.example.org", "from": "Gatehouse <alarms@example.org>"}
    MailSettings.model_validate(given)
    with pytest.raises(ValidationError) as raised:
        MailSettings.model_validate(given | wrong)
    assert "geheim" not in raised.value.errors()[0]["msg"]


@pytest.fixture
def robot() -> Iterator[tuple[str, list[tuple[int, str]], list[tuple[str, dict[str, Any]]]]]:
    """A robot's webhook: (URL, answers to give, what it got)."""
    answers: list[tuple[int, str]] = []
    got: list[tuple[str, dict[str, Any]]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            status, body = answers.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/send?key=s3cret", answers, got
    server.shutdown()
    server.server_close()
    thread.join()


def chat(kind: str, url: str, secret: str | None = None) -> ChatChannel:
    settings = ChatSettings.model_validate(
        {"type": kind, "url": url, "secret": secret, "allow_networks": ["127.0.0.0/8"]}
    )
    assert "s3cret" not in repr(settings)
    return ChatChannel(settings, {"li": "13800000001"}, lambda: NOW_MS)


@pytest.mark.parametrize(
    ("kind", "status", "body", "error"),
    [
        ("dingtalk", 200, '{"errcode":0,"errmsg":"ok"}', None),
        ("dingtalk", 200, '{"errcode":310000,"errmsg":"keywords not in content"}', BadInput),
        ("dingtalk", 200, '{"errcode":130101,"errmsg":"send too fast"}', Unavailable),
        ("dingtalk", 200, "", Unavailable),
        ("dingtalk", 200, "<html>captive portal</html>", Unavailable),
        ("wecom", 200, '{"errcode":0,"errmsg":"ok"}', None),
        ("wecom", 200, '{"errcode":93000,"errmsg":"invalid webhook url"}', BadInput),
        ("wecom", 200, '{"errcode":45009,"errmsg":"api freq out of limit"}', Unavailable),
        ("wecom", 200, "[]", Unavailable),
        ("wecom", 200, '{"errcode":[93000]}', Unavailable),
        ("wecom", 200, "[" * 60_000, Unavailable),
        ("feishu", 200, '{"code":{}}', Unavailable),
        ("feishu", 200, '{"code":0,"msg":"success"}', None),
        ("feishu", 200, '{"StatusCode":0,"StatusMessage":"success"}', None),
        ("feishu", 200, '{"code":19024,"msg":"Key Words Not Found"}', BadInput),
        ("feishu", 200, '{"code":11232,"msg":"frequency limited"}', Unavailable),
        ("feishu", 200, "{}", Unavailable),
        ("wecom", 502, "", Unavailable),
        ("wecom", 404, "", BadInput),
    ],
)
def test_a_robot_is_believed_by_its_code_not_its_status(
    robot: tuple[str, list[tuple[int, str]], list[tuple[str, dict[str, Any]]]],
    kind: str,
    status: int,
    body: str,
    error: type[Exception] | None,
) -> None:
    url, answers, got = robot
    answers.append((status, body))
    channel = chat(kind, url)
    if error is None:
        channel.deliver(NOTICE)
    else:
        with pytest.raises(error) as found:
            channel.deliver(NOTICE)
        assert "s3cret" not in str(found.value)
    ((_, message),) = got
    assert "13800000001" in json.dumps(message)
    assert "一号井" in json.dumps(message, ensure_ascii=False)


def test_robots_that_want_signatures_get_them(
    robot: tuple[str, list[tuple[int, str]], list[tuple[str, dict[str, Any]]]],
) -> None:
    url, answers, got = robot
    answers += [(200, '{"errcode":0}'), (200, '{"code":0}')]
    chat("dingtalk", url, "SEC").deliver(NOTICE)
    chat("feishu", url, "SEC").deliver(NOTICE)
    # Worked out with openssl: DingTalk signs its text with the secret, Feishu nothing with its text.
    asked = parse_qs(urlsplit(got[0][0]).query)
    assert asked["timestamp"] == [str(NOW_MS)]
    assert asked["sign"] == ["6d8pOmLs8krB1Eh/Sw7z9cN3k1JtGD0reZThnVtO8g0="]
    assert got[1][1]["timestamp"] == str(NOW_MS // 1000)
    assert got[1][1]["sign"] == "wT9wo7wNjgPhTBJHMrMPH3+Gwm3SbGatbzbTpxomHak="


def test_a_robot_gets_no_more_than_it_takes(
    robot: tuple[str, list[tuple[int, str]], list[tuple[str, dict[str, Any]]]],
) -> None:
    url, answers, got = robot
    answers.append((200, '{"errcode":0}'))
    chat("wecom", url).deliver(replace(NOTICE, text="水位过高" * 1000))
    said = got[0][1]["text"]["content"]
    assert said.endswith("…")
    assert 1900 < len(said.encode()) <= 2048


def test_a_robot_that_is_away_does_not_betray_its_url() -> None:
    with pytest.raises(Unavailable) as found:
        chat("wecom", "http://127.0.0.1:9/send?key=s3cret").deliver(NOTICE)
    assert "s3cret" not in str(found.value)


def test_apprise_is_not_let_near_what_it_takes_at_its_word() -> None:
    for url in (
        "dingtalk://token",
        "wecombot://key",
        "feishu://token",
        "https://oapi.dingtalk.com/robot/send?access_token=x",
    ):
        with pytest.raises(ValidationError, match="use type"):
            AppriseSettings.model_validate({"type": "apprise", "url": url})
    with pytest.raises(ValidationError, match="no such URL"):
        AppriseSettings.model_validate({"type": "apprise", "url": "nothing"})


def test_apprise_delivers_and_what_it_says_of_failure_is_believed(
    robot: tuple[str, list[tuple[int, str]], list[tuple[str, dict[str, Any]]]],
) -> None:
    url, answers, got = robot
    answers += [(200, ""), (500, "")]
    settings = AppriseSettings.model_validate({"type": "apprise", "url": url.replace("http://", "json://")})
    channel = AppriseChannel(settings, {})
    channel.deliver(NOTICE)
    with pytest.raises(Unavailable):
        channel.deliver(NOTICE)
    assert got[0][1]["title"] == NOTICE.title


def test_a_heartbeat_carries_the_age_of_what_was_judged_and_is_not_repeated() -> None:
    said: list[dict[str, object]] = []
    answers: list[Exception | None] = [Unavailable("down"), None, None]

    class Outside:
        def beat(self, message: Any) -> None:
            answer = answers.pop(0)
            if answer is not None:
                raise answer
            said.append(message)

    judged: list[int | None] = [NOW_MS - 5_000, NOW_MS - 2_500, None]
    given = HeartbeatSettings(device="d", metric="m")
    beat = Heartbeat("pager", Outside(), given, lambda: judged.pop(0), lambda: 3, ManualClock(NOW_MS))
    for _ in range(3):
        beat.step()
    assert [(one["count"], one["age_s"], one["records_behind"]) for one in said] == [(2, 2.5, 3), (3, None, 3)]
