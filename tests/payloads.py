"""What somebody sends who wants more than they may: families of payloads, made from what each language lets one break out of.

Every family is prefixes × cores × endings × disguises, so that a filter for one spelling does not pass for safety.
"""

from collections.abc import Iterator
from itertools import product
from urllib.parse import quote

CANARY = "gatehouse-canary"
"""What a payload that took effect leaves: in a file's name, a header, an answer."""


def sql() -> Iterator[str]:
    cores = (
        "OR 1=1",
        "OR 'a'='a'",
        "AND 1=0 UNION SELECT name, password, 1, NULL FROM user_account",
        "; DROP TABLE audit",
        "; DELETE FROM user_account",
        "; UPDATE user_grant SET role='administrator'",
        "OR EXISTS(SELECT 1 FROM session)",
        "|| (SELECT token_hash FROM session LIMIT 1)",
        "; SELECT pg_sleep(30)",
        "; ATTACH DATABASE '/tmp/gatehouse-canary' AS x",
        "; COPY user_account TO '/tmp/gatehouse-canary'",
        "OR randomblob(1000000000)",
        "LIKE '%'",
        "OR ROWID > 0",
    )
    for before, core, after in product(
        ("' ", '" ', "') ", "')) ", "1 ", "\\' ", "`", "%27 "), cores, ("", " --", " /*", "#", ";")
    ):
        yield f"{before}{core}{after}"


def flux() -> Iterator[str]:
    cores = (
        "|> yield()",
        'import "http" http.post(url: "http://127.0.0.1:9/")',
        "or true",
        'from(bucket: "_monitoring")',
        '|> to(bucket: "gatehouse")',
        "${secret}",
        '|> drop(columns: ["_value"])',
        "|> range(start: 0)",
        'import "influxdata/influxdb/secrets" secrets.get(key: "t")',
        "|> group() |> count()",
    )
    for before, core, after in product(('"', '")', '\\"', "level-1", "\n", "/"), cores, ("", "//", '"', ")")):
        yield f"{before} {core} {after}"


def line_protocol() -> Iterator[str]:
    for before, core, after in product(
        ("", "a", "\\"),
        (" value=1 1", ",device=x value=99", "\nmeter,device=x value=1 1", "=", "\\", " ", ","),
        ("", "\n", "\r\n", "#"),
    ):
        yield f"{before}{core}{after}"


def formula() -> Iterator[str]:
    cores = (
        "1+1",
        'HYPERLINK("http://127.0.0.1:9/","x")',
        "cmd|'/c calc'!A1",
        'WEBSERVICE("http://127.0.0.1:9/")',
        'IMPORTXML("http://127.0.0.1:9/","//a")',
        "SUM(1)*cmd|' /C notepad'!'A1'",
        'DDE("cmd";"/C calc";"x")',
    )
    for before, sign, core, after in product(
        ("", " ", "\t", "\r", "\n", '"', "'", "\ufeff"), ("=", "+", "-", "@", "＝"), cores, ("", '"')
    ):
        yield f"{before}{sign}{core}{after}"


def html() -> Iterator[str]:
    cores = (
        "<script>fetch('/x')</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "<iframe srcdoc='<script>1</script>'>",
        "<a href=javascript:alert(1)>x</a>",
        "<base href=//x>",
        "<meta http-equiv=refresh content=0>",
        "<math><mtext></mtext></math>",
        "{{7*7}}",
        "${7*7}",
        "<%= 7*7 %>",
        "javascript:alert(1)",
        "<style>@import '//x'</style>",
        "<para>",
        "&lt;script&gt;",
        "<!--",
        "]]>",
        "<![CDATA[",
        "<?xml version='1.0'?>",
        "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
    )
    for before, core in product(("", '">', "'>", "</title>", "</script>", "\\u003c"), cores):
        yield from (before + core, before + core.upper(), before + core.title())


def log() -> Iterator[str]:
    for mark, core in product(
        (
            "\n",
            "\r",
            "\r\n",
            "\x0b",
            "\x0c",
            "\x85",
            "\u2028",
            "\u2029",
            "\x1b[2J",
            "\x1b]0;x\x07",
            "\x9b31m",
            "\u202e",
            "\u2066",
            "\x00",
            "\x08",
        ),
        (f"2026-11-27 [info] log-in done {CANARY}", f'{{"event":"{CANARY}"}}', "", "x" * 200),
    ):
        yield f"li{mark}{core}"


def header() -> Iterator[str]:
    for mark, core in product(
        ("\r\n", "\n", "\r", "%0d%0a", "%0a", "\u560d\u560a", "\\r\\n"),
        (
            f"Set-Cookie: {CANARY}=1",
            f"X-Injected: {CANARY}",
            f"Location: http://{CANARY}/",
            "\r\n<script>",
            "Content-Length: 0",
            "HTTP/1.1 200 OK",
        ),
    ):
        yield f"x{mark}{core}"


def path() -> Iterator[str]:
    targets = ("etc/passwd", "data/gatehouse.db", "keys/register.key", "app.py", "windows/win.ini", f"tmp/{CANARY}")
    for depth, (up, target), end in product(
        (1, 3, 8),
        product(("../", "..\\", "..%2f", "%2e%2e/", "....//", "..%c0%af", "..%252f"), targets),
        ("", "%00", "%00.html"),
    ):
        yield up * depth + target + end
    for before, target in product(("/", "//", "file:///", "C:\\", "\\\\host\\", "/proc/self/root/"), targets):
        yield before + target


def yaml() -> Iterator[str]:
    calls = (
        f"os.system ['touch /tmp/{CANARY}']",
        f"subprocess.Popen [['touch', '/tmp/{CANARY}']]",
        f"builtins.open ['/tmp/{CANARY}', 'w']",
        "builtins.eval ['1/0']",
        "builtins.exec ['raise SystemExit']",
    )
    for tag, call, around in product(
        ("!!python/object/apply:", "!!python/object/new:", "!!python/name:", "!!python/module:", "!!ruby/object:", "!"),
        calls,
        ("rules: {}", "rules: [{{id: {}}}]", "{}: rules", "- {}", "a: &a {}\nb: *a"),
    ):
        yield around.format(f"{tag}{call}") + "\n"
    for depth in (9, 30):
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, depth)]
        yield "\n".join(lines) + "\n"
    yield "[" * 5_000
    yield "a: *b\n"
    yield "a: &a [*a]\n"


def ssrf() -> Iterator[str]:
    hosts = (
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",
        "[::]",
        "10.0.0.1",
        "192.168.0.1",
        "172.16.9.9",
        "169.254.169.254",
        "100.100.100.200",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "224.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "198.18.0.1",
    )
    for scheme, who, host, port in product(
        ("http", "https"), ("", "a:b@", "example.org@"), hosts, ("", ":80", ":8086")
    ):
        yield f"{scheme}://{who}{host}{port}/latest/meta-data/"


def odd_text() -> Iterator[str]:
    """What databases, encoders and screens stumble over without anybody meaning harm."""
    for core in (
        "\x00",
        "a\x00b",
        "\ud800",
        "\udfff",
        "\ufffe",
        "\uffff",
        "\U0010ffff",
        "é",
        "e\u0301",
        "İ",
        "ß",
        "\u200b",
        "\u2800",
    ):
        for before in ("", "li", "设备"):
            yield before + core
    yield from (
        "x" * 64,
        "x" * 65,
        "x" * 10_000,
        "",
        " ",
        "\t",
        "null",
        "None",
        "true",
        "NaN",
        "-0",
        "1e999",
        "[]",
        "{}",
        "__proto__",
    )


FAMILIES = {
    made.__name__: tuple(dict.fromkeys(made()))
    for made in (sql, flux, line_protocol, formula, html, log, header, path, yaml, ssrf, odd_text)
}
TEXTS = tuple(
    dict.fromkeys(each for name, family in FAMILIES.items() if name not in ("yaml", "ssrf") for each in family)
)
"""All that may stand where a text is asked for."""


def in_path(payload: str) -> str:
    """As one step of a URL's path; what cannot be UTF-8 as somebody's broken client would send it."""
    return quote(payload.encode("utf-8", "surrogatepass"), safe="%.\\")
