"""A visitor without a browser: speaks Streamlit's own protocol over a websocket. Needs nothing but Streamlit."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.util import calc_hash
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

PATIENCE = 60.0


@dataclass
class Seen:
    """What one click brought: seconds until the script ended, bytes, the page's HTML, exceptions, kinds of elements."""

    seconds: float = 0.0
    n_bytes: int = 0
    html: str = ""
    text: str = ""  # all that is to be read: html, captions, markdown, labels and charts
    exceptions: list[str] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)


class Visitor:
    """One session at ``http://localhost:port``; ``host`` is the name it says to visit, ``origin`` its website."""

    def __init__(self, url: str, origin: str | None = None, host: str = "localhost") -> None:
        port = urlsplit(url).port or 80
        opened = connect(
            f"ws://{host}:{port}/_stcore/stream", origin=Origin(origin) if origin else None,
            sock=socket.create_connection(("127.0.0.1", port)), subprotocols=[Subprotocol("streamlit")], max_size=None,
            open_timeout=PATIENCE, proxy=None,
        )  # fmt: skip
        self._closing = ExitStack()
        self._socket: ClientConnection = self._closing.enter_context(opened)

    def open(self, page: str, **query: str) -> Seen:
        """Go to a page; the first call is the first visit."""
        message = BackMsg()
        message.rerun_script.query_string = urlencode(query)
        message.rerun_script.page_script_hash = "" if page == "home" else calc_hash(page)
        begun = time.perf_counter()
        self._socket.send(message.SerializeToString())
        seen = Seen()
        while not self._finished(seen):
            pass
        seen.seconds = time.perf_counter() - begun
        return seen

    def _finished(self, seen: Seen) -> bool:
        data = self._socket.recv(timeout=PATIENCE)
        assert isinstance(data, bytes)
        seen.n_bytes += len(data)
        message = ForwardMsg.FromString(data)
        if message.WhichOneof("type") == "delta" and message.delta.WhichOneof("type") == "new_element":
            element = message.delta.new_element
            kind = element.WhichOneof("type") or ""
            seen.kinds.add(kind)
            seen.text += f"{element} "
            if kind == "html":
                seen.html += element.html.body
            elif kind == "exception":
                seen.exceptions.append(f"{element.exception.type}: {element.exception.message}")
        done = message.WhichOneof("type") == "script_finished"
        return done and message.script_finished != ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY

    def close(self) -> None:
        self._closing.close()
