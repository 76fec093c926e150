"""
A server that answers questions about one file in any way, right or wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, field, frozen
from hypothesis import strategies as st

from osproxy.model import BodyBroken, Representation
from tests.cache.doubles import read
from tests.cache.origin import Question, Told, unreachable, whole

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from osproxy.http.fields import Fields
    from osproxy.model import Answer

RIGHT = ("right", "right", "right", "whole", "short")
WRONG = ("earlier", "later", "total", "star", "multipart", "bare", "surplus")
STATUSES = ("204", "404", "416", "503")


@frozen
class Behaviour:
    """
    How one question is answered.

    :ivar version: which version of the file the server has then.
    :ivar how: one of the words above, or ``refused``.
    :ivar cut: octets of the last hundred, or of a part, after which it breaks off, if it does.
    :ivar count: by how many octets it is short, or wrong.
    :ivar chunked: whether the length of a part is not told.
    """

    version: str
    how: str = "right"
    cut: int | None = None
    count: int = 0
    chunked: bool = False


behaviours = st.builds(
    Behaviour,
    version=st.sampled_from("aaaab"),
    how=st.sampled_from([*RIGHT, *WRONG, *STATUSES, "refused"]),
    cut=st.none() | st.integers(0, 99),
    count=st.integers(0, 30),
    chunked=st.booleans(),
)


@define(eq=False)
class AnyServer:
    """
    A server that has had two versions of a file, each with a strong tag of its own.

    What it sends is of the version that it says it is, but for octets beyond what it says.

    :ivar beginning: octets in front of the last hundred, where nothing happens.
    :ivar sized: whether the length of the whole file is told.
    """

    beginning: int = 0
    sized: bool = True
    versions: dict[str, bytes] = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make two files that differ in every octet."""
        self.versions = {
            "a": b"a" * self.beginning + bytes(range(100)),
            "b": b"b" * self.beginning + bytes(range(100, 200)),
        }

    def answer(self, question: Question, behaviour: Behaviour) -> None:
        """Answer, all at once."""
        body, tag = self.versions[behaviour.version], ("ETag", f'"{behaviour.version}"')
        asked = question.field("range")
        if behaviour.how == "refused":
            question.fail()
            return
        if behaviour.how.isdecimal():
            question.answer(whole(b"", tag, status=int(behaviour.how)))
            return
        cut = behaviour.cut
        if asked is None or behaviour.how == "whole":
            told, sent = Told(200, (tag,), len(body) if self.sized else None), body
            cut = None if cut is None else cut + self.beginning
        else:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            told, sent = _part(body, tag, start, behaviour)
        question.answer(told)
        told.send(sent[:cut])
        if told.abandoned:
            return
        if cut is not None and cut < len(sent):
            told.fail(unreachable())
        else:
            told.finish()


def _part(
    body: bytes, tag: tuple[str, str], start: int, behaviour: Behaviour
) -> tuple[Told, bytes]:
    """Make a 206 and its body."""
    stop, total, fields = len(body), str(len(body)), (tag,)
    said: Fields = ()
    match behaviour.how:
        case "short":
            stop = min(stop, start + 1 + behaviour.count)
        case "earlier":
            start = max(0, start - 1 - behaviour.count)
        case "later":
            start = min(stop - 1, start + 1 + behaviour.count)
        case "total":
            total = str(len(body) + 1 + behaviour.count)
        case "star":
            total = "*"
        case "multipart":
            said = (("Content-Type", "multipart/byteranges; boundary=x"),)
    sent = body[start:stop]
    if behaviour.how != "bare":
        said = (*said, ("Content-Range", f"bytes {start}-{stop - 1}/{total}"))
    length = None if behaviour.chunked else len(sent)
    if behaviour.how == "surplus":
        sent, length = sent + b"?" * (1 + behaviour.count), None
    return Told(206, (*fields, *said), length), sent


async def body_or_nothing(asked: Deferred[Answer]) -> bytes | None:
    """Take the whole body that is answered, None if there is none or it is broken."""
    answer = await asked
    if not isinstance(answer.content, Representation):
        return None
    try:
        return await read(answer)
    except BodyBroken:
        return None
