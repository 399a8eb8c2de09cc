"""HTTP as devices speak it: multipart streams, answers cut anywhere, Digest."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from gateway.answer import AnswerReader
from gateway.digest import Digest, parse_challenges
from gateway.http_client import HttpClient, Login
from gateway.multipart import MultipartReader, Part, boundary_of
from telemetry.errors import BadInput, Unavailable

PICTURE = b"\xff\xd8\xff\xe0" + b"picture\r\n--not the boundary\r\n\r\n" * 5
HEARTBEAT = b'{"eventType":"heartBeat"}'


def part(content_type: str, body: bytes, with_length: bool, boundary: str = "MIME_boundary") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if with_length else ""
    return f"--{boundary}\r\nContent-Type: {content_type}\r\n{length}\r\n".encode() + body + b"\r\n"


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    cut = []
    for size in cuts:
        cut.append(data[:size])
        data = data[size:]
    return [*cut, data]


bodies = st.sampled_from([HEARTBEAT, b"", b"{}", b"x" * 60, b"\r\n", b"--", b"--MIME_boundar"])
kinds = st.sampled_from(["application/json", "image/jpeg", "application/xml; charset=UTF-8"])
cuts = st.lists(st.integers(1, 40), max_size=60)


@given(st.lists(st.tuples(kinds, bodies, st.booleans()), min_size=1, max_size=5), cuts)
def test_any_cut_of_a_stream_gives_the_same_parts_without_the_pictures(
    sent: list[tuple[str, bytes, bool]], cuts: list[int]
) -> None:
    stream = b"".join(part(*one) for one in sent) + b"--MIME_boundary--\r\n"
    reader = MultipartReader(b"MIME_boundary", 50)
    received = [found for piece in pieces(stream, cuts) for found in reader.feed(piece)]
    expected = [Part(kind, body if len(body) <= 50 else None) for kind, body, _ in sent if kind != "image/jpeg"]
    assert received == expected
    assert reader.noise_bytes == 0


@pytest.mark.parametrize("written", ["---------------------------7e13971310878", "--7e13971310878", "7e13971310878"])
@given(st.lists(st.tuples(kinds, bodies, st.booleans()), min_size=1, max_size=5), cuts)
def test_a_boundary_may_begin_with_dashes(written: str, sent: list[tuple[str, bytes, bool]], cuts: list[int]) -> None:
    stream = b"".join(part(*one, boundary=written) for one in sent) + f"--{written}--\r\n".encode()
    reader = MultipartReader(boundary_of(f"multipart/form-data; boundary={written}"), 50)
    received = [found for piece in pieces(stream, cuts) for found in reader.feed(piece)]
    expected = [Part(kind, body if len(body) <= 50 else None) for kind, body, _ in sent if kind != "image/jpeg"]
    assert received == expected
    assert reader.noise_bytes == 0


def test_a_camera_that_names_its_boundary_with_the_dashes_of_the_body_is_read() -> None:
    reader = MultipartReader(boundary_of("multipart/mixed; boundary=--MIME_boundary"), 50)
    one = part("application/json", HEARTBEAT, False)
    assert reader.feed(one + one + b"--MIME_boundary--") == [Part("application/json", HEARTBEAT)] * 2
    assert reader.noise_bytes == 0


def test_a_part_with_a_length_is_given_out_before_the_next_begins() -> None:
    reader = MultipartReader(b"MIME_boundary", 1000)
    assert reader.feed(part("application/json", HEARTBEAT, True)) == [Part("application/json", HEARTBEAT)]
    assert reader.feed(part("application/json", HEARTBEAT, False)) == []


def test_a_picture_of_two_megabytes_is_never_held() -> None:
    reader = MultipartReader(b"MIME_boundary", 1000)
    picture = part("image/jpeg", b"\xff" * 2_000_000, True)
    for at in range(0, len(picture), 50_000):
        assert reader.feed(picture[at : at + 50_000]) == []
        assert len(reader._buffer) + len(reader._kept or b"") < 60_000
    assert reader.feed(part("application/json", HEARTBEAT, True)) == [Part("application/json", HEARTBEAT)]


@pytest.mark.parametrize(
    "noise", [b"garbage", b"\x00\xff" * 500, b"--MIME_boundarx\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
)
def test_noise_costs_no_part(noise: bytes) -> None:
    reader = MultipartReader(b"MIME_boundary", 1000)
    good = part("application/json", HEARTBEAT, True)
    assert reader.feed(noise + good + noise + good) == [Part("application/json", HEARTBEAT)] * 2
    assert reader.noise_bytes > 0


def test_a_length_that_is_too_short_costs_its_own_part_alone() -> None:
    reader = MultipartReader(b"MIME_boundary", 1000)
    lying = part("application/json", HEARTBEAT, True).replace(b"Content-Length: 25", b"Content-Length: 5")
    found = reader.feed(lying + part("application/json", HEARTBEAT, True))
    assert found == [Part("application/json", HEARTBEAT[:5]), Part("application/json", HEARTBEAT)]


@pytest.mark.parametrize("boundary", ["MIME_boundary", "------7e13971310878"])
@pytest.mark.parametrize("kind", ["application/json", "image/jpeg"])
@given(cuts=cuts)
def test_a_length_that_is_too_long_costs_no_other_part(kind: str, boundary: str, cuts: list[int]) -> None:
    lying = part(kind, HEARTBEAT, True, boundary).replace(b"Content-Length: 25", b"Content-Length: 900")
    reader = MultipartReader(boundary_of(f"multipart/mixed; boundary={boundary}"), 1000)
    good = part("application/json", b"{}", True, boundary)
    received = [found for piece in pieces(lying + good, cuts) for found in reader.feed(piece)]
    expected = [Part("application/json", HEARTBEAT)] if kind == "application/json" else []
    assert received == [*expected, Part("application/json", b"{}")]


@given(st.binary(max_size=300), cuts)
def test_arbitrary_bytes_never_raise_and_the_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    data = data.replace(b"\x01", b"--b\r\n").replace(b"\x02", b"\r\n\r\n").replace(b"\x03", b"Content-Length: 3\r\n")
    whole, cut = MultipartReader(b"b", 20), MultipartReader(b"b", 20)
    expected = whole.feed(data)
    assert [found for piece in pieces(data, cuts) for found in cut.feed(piece)] == expected


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/mixed; boundary=MIME_boundary", b"MIME_boundary"),
        ('multipart/form-data; boundary="a b"', None),
        ('multipart/form-data; Boundary="--abc"; charset=UTF-8', b"abc"),
        ("multipart/form-data", None),
    ],
)
def test_the_boundary_is_found_however_it_is_written(content_type: str, boundary: bytes | None) -> None:
    if boundary is None:
        with pytest.raises(BadInput):
            boundary_of(content_type)
    else:
        assert boundary_of(content_type) == boundary


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 2000 + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: 1\r\n\r\n",
    ],
)
@given(cuts=cuts)
def test_any_cut_of_an_answer_gives_the_same_body(answer: bytes, cuts: list[int]) -> None:
    reader = AnswerReader()
    body = b"".join(reader.feed(piece) for piece in pieces(answer, cuts))
    assert reader.head is not None and reader.head.status == 200
    assert body == b"hello" and reader.is_complete


@given(st.binary(max_size=200))
def test_what_is_no_answer_is_refused_and_nothing_else(data: bytes) -> None:
    for beginning in (b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        try:
            AnswerReader().feed(beginning + data)
        except BadInput:
            pass


# RFC 7616 §3.9.1, both algorithms.
RFC = 'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, nonce="{}", opaque="{}"'
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
OPAQUE = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_published_answer_to_the_published_challenge(algorithm: str, response: str) -> None:
    digest = Digest(parse_challenges([RFC.format(algorithm, NONCE, OPAQUE)]), "Mufasa", "Circle of Life")
    header = digest.authorization("GET", "/dir/index.html", CNONCE)
    assert f'response="{response}"' in header
    assert "nc=00000001" in header and f'opaque="{OPAQUE}"' in header


def test_the_stronger_algorithm_is_taken_and_an_old_server_without_qop_is_answered() -> None:
    both = [RFC.format(name, NONCE, OPAQUE) for name in ("MD5", "SHA-256")]
    assert parse_challenges(both).algorithm == "sha-256"
    old = Digest(parse_challenges(['Basic realm="x"', 'Digest realm="DVR", nonce="n"']), "admin", "p")
    a1, a2 = (hashlib.md5(text).hexdigest() for text in (b"admin:DVR:p", b"GET:/x"))
    expected = hashlib.md5(f"{a1}:n:{a2}".encode()).hexdigest()
    assert f'response="{expected}"' in old.authorization("GET", "/x") and "qop" not in old.authorization("GET", "/x")


@pytest.mark.parametrize("header", ['Basic realm="x"', "Digest", 'Digest realm="x", nonce="n", algorithm=MD4', ""])
def test_a_challenge_we_cannot_meet_is_refused(header: str) -> None:
    with pytest.raises(BadInput):
        parse_challenges([header])


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n", b"half"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhalf", b"half"),
        (b"HTTP/1.0 200 OK\r\n\r\nhalf", b"half"),
    ],
)
def test_an_answer_of_which_the_end_is_missing_is_none(answer: bytes, body: bytes | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = HttpClient("127.0.0.1", port, Login("u", SecretStr("p")), 5.0)
        if body is None:
            with pytest.raises(Unavailable, match="before its end"):
                await client.ask("GET", "/")
        else:
            assert await client.ask("GET", "/") == (200, body)
        server.close()

    asyncio.run(run())
