"""Who may ask, press and how often: the settings' word on each message and press, with the sentences for people.

What is refused is refused privately: the front ends see to it, and to it that nobody is told again and again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple

from bridge.access import Access, Allowed, Reason, Refused, TurnsPerHour, Unsure
from bridge.inbound import Address, Person
from bridge.store.budgets import OverBudget, Quota
from bridge.store.values import ApprovalShown
from bridge.turns.inbox import NotAllowed, Order, Press, Unidentified

SENTENCES = {
    Reason.PLACE: "I don't answer in this place. Ask me in a channel that I serve.",
    Reason.PERSON: "You aren't among the people whom I answer here. Whoever runs this bot can let you in.",
    Reason.DIRECT: "I don't answer direct messages of yours. Ask me in a channel that I serve.",
    Reason.EXTERNAL: "I answer full members only, no guests and nobody of another organisation."
    " Ask a member to ask for you, or whoever runs this bot to let you in.",
}
USED_UP = {
    "person": "Questions of one person are limited to {allowed} an hour, and yours are used up.",
    "channel": "Questions in one channel are limited to {allowed} an hour, and this one's are used up.",
    "agent": "Questions to this agent are limited to {allowed} an hour, and they are used up.",
}
AGAIN = " Please ask again in {wait}."
NOT_YOURS = "Only whoever asked can do that, or an admin of this bot."

# Of bots that a route trusts, in an hour: in one thread, without a person in between, and in one channel with all its
# threads.
BOT_TURNS_IN_THREAD = 3
BOT_TURNS_IN_CHANNEL = 30

# What only the asker may press, and admins for others. An answer is one that anyone may also write.
ASKERS = ("stop", "retry", "abandon", "reask", "again")
DECISIONS = ("approve", "decline")  # for whoever may decide, who needn't be one of those who may ask
OVERSEEN = ("stop", "retry", "new")  # commands that an admin may give wherever others ask


class Gate:
    """The `[access]` and the budgets of the settings."""

    def __init__(self, access: Access, turns: TurnsPerHour | None = None) -> None:
        self._access = access
        self._turns = turns or TurnsPerHour()

    @property
    def by_thread(self) -> bool:
        """Whether it matters which agent answers in a thread, and whom it asked back."""
        return bool(self._access.agents) or self._turns != TurnsPerHour()

    def admit(self, agent: str, address: Address, person: Person) -> None:
        """:raises NotAllowed:
        :raises Unidentified:
        """
        if not agent:
            raise NotAllowed("no agent", "")
        if person.bot:  # by its route
            return
        refused = self._refused(agent, address, person)
        if refused is not None:
            raise NotAllowed(refused.reason, SENTENCES[refused.reason])

    def allows(self, agent: str, address: Address, person: Person) -> bool:
        """Whether a person may ask an agent there, budgets apart.

        :raises Unidentified:
        """
        return bool(agent) and self._refused(agent, address, person) is None

    def may_order(self, order: Order, agent: str) -> None:
        """:raises NotAllowed:
        :raises Unidentified:
        """
        if order.name not in OVERSEEN or not self._access.is_admin(agent, order.address, order.person):
            self.admit(agent, order.address, order.person)

    def decides(self, order: Order, agent: str, asker: str | None) -> bool:
        """Whether a command may act on this person's turn."""
        return asker in (None, order.person.id) or self._access.is_admin(agent, order.address, order.person)

    def may_decide(self, approval: ApprovalShown, agent: str, address: Address, person: Person) -> bool:
        named = f"{address.platform}:{person.id}"
        return named in approval.approvers or self._access.is_admin(agent, address, person)

    def may_press(self, press: Press, agent: str, asker: str | None) -> None:
        """`asker` is None for a turn that isn't the thread's: there is nothing to press for. Of a decision only whether
        any is taken there: whose, `may_decide` says.

        :raises NotAllowed:
        :raises Unidentified:
        """
        person, address = press.person, press.address
        if self._access.is_admin(agent, address, person):
            return
        if not agent:
            raise NotAllowed(Reason.PLACE, SENTENCES[Reason.PLACE])
        if press.action in DECISIONS:
            return
        refused = self._refused(agent, address, person)
        if refused is not None:
            raise NotAllowed(refused.reason, SENTENCES[refused.reason])
        if press.action in ASKERS and asker not in (None, person.id):
            raise NotAllowed("not yours", NOT_YOURS)

    def quotas(self, agent: str, address: Address, person: Person) -> Sequence[Quota]:
        """What a turn is counted for."""
        found = (
            Quota("person", f"{address.platform}:{person.id}", self._turns.person),
            Quota("channel", _channel(address), self._turns.channel),
            Quota("agent", agent, self._turns.agents.get(agent, 0)),
        )
        return [*(one for one in found if one.allowed), *(_of_bots(address) if person.bot else ())]

    def freed(self, address: Address, person: Person) -> Sequence[Quota]:
        """What begins anew where a person writes: bots that answer each other stop, until somebody goes on."""
        return () if person.bot else [one for one in _of_bots(address) if one.of == "bots_in_thread"]

    def refusal(self, refused: NotAllowed | OverBudget) -> NotAllowed:
        if isinstance(refused, NotAllowed):
            return refused
        return NotAllowed(f"budget of {refused.quota.of}", self.sentence(refused))

    def sentence(self, over: OverBudget) -> str:
        """What a person is told of a quota that is used up; a bot is told nothing, which it might answer."""
        if over.quota.of not in USED_UP:
            return ""
        return USED_UP[over.quota.of].format(allowed=over.quota.allowed) + AGAIN.format(wait=_wait(over.seconds))

    def _refused(self, agent: str, address: Address, person: Person) -> Refused | None:
        match self._access.decide(agent, address, person):
            case Allowed():
                return None
            case Unsure():
                raise Unidentified
            case Refused() as refused:
                return refused


def _channel(address: Address) -> str:
    """With its workspace: two may have channels of the same id."""
    return f"{address.platform}:{address.workspace}:{address.channel}"


def _of_bots(address: Address) -> Sequence[Quota]:
    """Where the channel is one conversation, each alert in it is one of its own."""
    thread = Quota("bots_in_thread", ":".join(astuple(address)), BOT_TURNS_IN_THREAD)
    channel = Quota("bots_in_channel", _channel(address), BOT_TURNS_IN_CHANNEL)
    return (channel,) if address.is_flat else (thread, channel)


def _wait(seconds: float) -> str:
    minutes = max(1, math.ceil(seconds / 60))
    return "a minute" if minutes == 1 else f"{minutes} minutes"
