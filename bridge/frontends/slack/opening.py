"""The agent speaks first on Slack: a message in a channel, or to a person, is the root of a thread."""

from __future__ import annotations

from bridge.frontends.slack.blocks import key_of
from bridge.frontends.slack.client import HISTORY, POST, required
from bridge.frontends.slack.errors import SDK_ERRORS, Failure
from bridge.frontends.slack.live import FIND_PAGES, Place
from bridge.frontends.slack.surface import STREAM_STYLE
from bridge.frontends.slack.workspace import PAGE, Workspace
from bridge.inbound import Address, Person
from bridge.turns.surface import Gone, Guard, PartKey

OPEN = "conversations.open"
NO_SUCH_PERSON = frozenset(
    {"user_disabled", "user_not_found", "user_not_visible", "users_not_found", "cannot_dm_bot"}
)


class SlackOpening:
    """Implements `bridge.turns.surface.Opening`."""

    def __init__(self, workspace: Workspace, channel: str, person: str, *, guard: Guard) -> None:
        self._workspace = workspace
        self._client = workspace.client.guarded(guard)
        self._channel = channel
        self._person = person
        self.style = STREAM_STYLE

    async def locate(self) -> None:
        if not self._person:
            return
        try:
            answer = await self._client.conversations_open(users=self._person)
            self._channel = str(required(answer, "channel")["id"])
        except SDK_ERRORS as error:
            failure = Failure.of(error)
            if failure.refused and failure.code in NO_SUCH_PERSON:
                raise Gone(f"{OPEN}: {failure.code}") from error
            raise failure.surface_error(OPEN) from error

    def moment(self, at: float) -> str:
        return f"{at:.6f}"

    async def find(self, key: PartKey, text: str, since: float) -> str | None:  # noqa: ARG002  # the key tells
        cursor: str | None = None
        for _ in range(FIND_PAGES):
            try:
                answer = await self._client.conversations_history(
                    channel=self._channel,
                    oldest=self.moment(since),
                    cursor=cursor,
                    limit=PAGE,
                    include_all_metadata=True,
                )
                messages = required(answer, "messages")
            except SDK_ERRORS as error:
                raise Failure.of(error).surface_error(HISTORY) from error
            for message in messages:
                if self._workspace.me.wrote(message) and key_of(message) == key:
                    return str(message["ts"])
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                break
        return None

    async def post(self, key: PartKey, text: str, title: str) -> str:  # noqa: ARG002  # its threads have none
        budget = self._workspace.budgets.of(POST, self._channel)
        assert budget is not None  # noqa: S101 - posts have one
        place = Place(self._workspace, self._client, self._address(""), Person(self._person))
        async with budget.slot(urgent=True):
            self._client.paid = POST
            return await place.post(key, text, ())

    async def open(self, message_id: str, title: str) -> Address:  # noqa: ARG002
        return self._address(message_id)

    def _address(self, thread: str) -> Address:
        return Address("slack", self._workspace.me.team, self._channel, thread)
