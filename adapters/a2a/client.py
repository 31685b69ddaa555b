"""The official A2A client on top of the shared HTTP client, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterable

import httpx
from a2a.client import A2AClientError, ClientConfig
from a2a.client.base_client import BaseClient
from a2a.client.transports.base import ClientTransport
from a2a.client.transports.rest import RestTransport
from a2a.client.transports.tenant_decorator import TenantTransportDecorator
from a2a.compat.v0_3.jsonrpc_transport import CompatJsonRpcTransport
from a2a.compat.v0_3.rest_transport import CompatRestTransport
from a2a.types import AgentCard, AgentInterface
from a2a.utils.errors import A2AError, ContentTypeNotSupportedError, InternalError, TaskNotFoundError
from google.protobuf.json_format import ParseError  # type: ignore[import-untyped]

from adapters.a2a.streaming import StreamedJsonRpc
from adapters.base import NotFound, ProtocolError, Rejected
from adapters.http.library import Reason, Refusal
from adapters.http.wire import message_in
from adapters.sentences import MISCONFIGURED, WRONG_TYPE

JSONRPC, REST = "JSONRPC", "HTTP+JSON"
GRPC = "GRPC"
_BINDINGS = (JSONRPC, REST)
_GRPC_ONLY = "This agent can be reached by gRPC only, which this bot doesn't speak. Please tell whoever runs it."
_UNLISTED = "This agent doesn't tell what it was asked before."


def interface_of(card: AgentCard) -> AgentInterface:
    """Where and how the agent is spoken to: its first choice of the newest version. Raises `ProtocolError`."""
    known = [interface for interface in card.supported_interfaces if interface.protocol_binding in _BINDINGS]
    if not known:
        offered = {interface.protocol_binding for interface in card.supported_interfaces}
        detail = f"a2a: the agent offers {', '.join(sorted(offered)) or 'no interface'}"
        if offered == {GRPC}:
            raise ProtocolError(f"{detail} only, which isn't spoken here", sentence=_GRPC_ONLY)
        raise ProtocolError(f"{detail}, and none of {', '.join(_BINDINGS)}", sentence=MISCONFIGURED)
    chosen: AgentInterface = min(known, key=is_old)
    return chosen


def connect(card: AgentCard, interface: AgentInterface, client: httpx.AsyncClient) -> BaseClient:
    """A client for the agent. The library's own factory would set a header on the shared client for all adapters,
    hence by hand."""
    transport = _transport(card, interface, client)
    if interface.tenant:
        transport = TenantTransportDecorator(transport, interface.tenant)
    return BaseClient(card, ClientConfig(polling=True), transport, [])


def _transport(card: AgentCard, interface: AgentInterface, client: httpx.AsyncClient) -> ClientTransport:
    if interface.protocol_binding == JSONRPC:
        if is_old(interface):
            return CompatJsonRpcTransport(client, card, interface.url, is_shared_httpx=True)
        return StreamedJsonRpc(client, card, interface.url, is_shared_httpx=True)
    if is_old(interface):
        return CompatRestTransport(client, card, interface.url, is_shared_httpx=True)
    return RestTransport(client, card, interface.url, is_shared_httpx=True)


def is_old(interface: AgentInterface) -> bool:
    """Whether it speaks protocol 0.3."""
    return interface.protocol_version.startswith("0.")


def reason(error: Exception) -> Reason | None:
    """What an exception of the library means."""
    for cause in _causes(error):
        if isinstance(cause, httpx.HTTPStatusError):
            return Refusal(cause.response.status_code, cause.response.headers, _message(cause.response))
        if isinstance(cause, httpx.HTTPError):
            return cause
    if isinstance(error, NotImplementedError):  # protocol 0.3 has no such call
        return Rejected(str(error), sentence=_UNLISTED)
    if isinstance(error, InternalError):
        return Refusal(500, {}, str(error))
    if isinstance(error, TaskNotFoundError):
        return NotFound(str(error))
    if isinstance(error, ContentTypeNotSupportedError):
        return Rejected(str(error), sentence=WRONG_TYPE)
    if isinstance(error, A2AClientError | ParseError | ValueError | LookupError | TypeError | AttributeError):
        return ProtocolError(f"an answer that can't be read: {type(error).__name__} {error}")
    if isinstance(error, A2AError):
        return Rejected(f"{type(error).__name__} {error}")
    return None


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _message(response: httpx.Response) -> str:
    try:
        return message_in(response.content)
    except httpx.ResponseNotRead:
        return ""
