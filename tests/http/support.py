"""What heads are made of, for tests that read and write them."""

from __future__ import annotations

from hypothesis import strategies as st

TOKENS = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=12)
TARGETS = st.binary(min_size=1, max_size=30).map(
    lambda octets: b"/" + octets.translate(None, bytes(range(33)) + bytes(range(127, 256)))
)
VALUES = st.text(
    st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=20
).map(lambda text: text.strip(" \t"))
FRAMING = {"host", "content-length", "transfer-encoding"}
FIELDS = st.lists(
    st.tuples(TOKENS.filter(lambda name: name.lower() not in FRAMING), VALUES), max_size=6
)
PIECES = st.lists(
    st.sampled_from(
        (
            b"GET ",
            b"/",
            b" HTTP/1.1",
            b"HTTP/1.0",
            b"HTTP/1.1 200 OK",
            b"\r\n",
            b"\r",
            b"\n",
            b"\0",
            b"Host: x\r\n",
            b"Host:",
            b"Content-Length: 1\r\n",
            b"Content-Length: ",
            b"1, 1",
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding:",
            b"chunked",
            b"[::1]",
            b"[",
            b"%",
            b":",
            b" ",
            b"\t",
            b"\xff",
        )
    )
    | st.binary(max_size=3),
    max_size=12,
).map(b"".join)
REASONS = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20
)
