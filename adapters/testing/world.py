"""What the suite needs of a simulated backend."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

from adapters.base import Agent, Decision

Step = Literal["question", "answer", "stream", "upload", "download", "rating"]
"""A kind of request. `question`: starts work. `answer`: a poll or a look at the history. `stream`: an answer that
is streamed, which may be that of the question. What an adapter never sends is missing in `World.steps`."""

Trouble = Literal[
    "dropped before",  # the connection is cut before the request took effect
    "dropped after",  # it took effect, the answer is lost
    "unauthorized",  # 401
    "not found",  # 404
    "rejected",  # 400
    "limited",  # 429 without a word on how long
    "limited briefly",  # 429, Retry-After: 1
    "limited for long",  # 429, Retry-After: 600
    "down",  # 503
    "garbage",  # 200 with an HTML page
    "endless",  # 200 with more than 16 MiB of JSON
    "redirected",  # 302 to another origin
    "cut",  # a stream breaks off in the middle of a line
    "crlf",  # a stream with the other line ends
    "commented",  # a stream with comments, ids and unknown fields
    "dribbled",  # a stream in pieces that cut characters
    "huge event",  # an event of several MiB
]


class World(Protocol):
    """A simulated backend, as the suite needs it. Names of the agent's doings are in the words of the suite."""

    key: str
    steps: Collection[Step]

    def agent(self) -> Agent:
        """A new agent that talks to the backend and knows nothing of earlier ones."""
        ...

    def unreachable(self) -> Agent:
        """An agent whose backend's address takes no connection."""
        ...

    def asked(self) -> int:
        """How many questions the backend took, in all."""
        ...

    def told(self) -> Sequence[Mapping[str, Any]]:
        """Who asked, by each request that said so: the fields of `adapters.person.as_object`, and `token` where one
        came along."""
        ...

    def traced(self) -> Sequence[str | None]:
        """The `traceparent` of each request that the backend got; None where it had none."""
        ...

    def traced_elsewhere(self) -> bool:
        """Whether the other origin, that of "redirected", ever saw one."""
        ...

    def decided(self) -> Sequence[Decision]:
        """What the backend was told of the approvals that it asked for."""
        ...

    def rated(self) -> Mapping[str, tuple[bool, str]]:
        """What people think of answers, by the question: whether it was good, and their words."""
        ...

    def violations(self) -> Sequence[str]:
        """What the adapter did that the service doesn't tolerate."""
        ...

    def say(self, text: str) -> None:
        """The next question is answered by exactly this."""
        ...

    def hold(self) -> None:
        """Questions taken from now on are worked on without an end, until `release`."""
        ...

    def release(self) -> None: ...

    def fail(self, step: Step, trouble: Trouble, times: int = 1) -> None:
        """The next requests of this kind meet trouble."""
        ...

    def stall(self, nth: int) -> None:
        """The `nth` request from now on, of any kind, takes effect and is never answered."""
        ...

    async def stalled(self) -> None:
        """Returns once that request has taken effect."""
        ...

    def mend(self) -> None:
        """Forget all trouble that is still to come."""
        ...

    def leaked(self) -> bool:
        """Whether the other origin, that of "redirected", ever saw the key."""
        ...
