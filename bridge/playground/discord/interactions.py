"""Answers to interactions: the first one through its callback, all later ones as the application's webhook."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.playground.discord import payloads, posting
from bridge.playground.discord.components import check_modal
from bridge.playground.discord.errors import (
    FormErrors,
    already_acknowledged,
    expired_webhook_token,
    invalid_form,
    unknown_interaction,
    unknown_message,
    unknown_webhook,
)
from bridge.playground.discord.forms import SENDABLE, Draft, read_message
from bridge.playground.discord.invocations import CallbackType, Interaction, InteractionType
from bridge.playground.discord.model import (
    Change,
    Channel,
    Invocation,
    Json,
    Message,
    MessageFlag,
    MessageType,
    Upload,
)
from bridge.playground.discord.state import State

MAX_CHOICES = 25  # of an autocompletion (documented)
MAX_CHOICE_TEXT = 100
MAX_EPHEMERAL = 5_000  # ephemeral messages remembered; the oldest are forgotten first

ANSWERABLE: dict[InteractionType, tuple[CallbackType, ...]] = {
    InteractionType.COMMAND: (CallbackType.MESSAGE, CallbackType.DEFER, CallbackType.MODAL),
    InteractionType.COMPONENT: (
        CallbackType.MESSAGE,
        CallbackType.DEFER,
        CallbackType.DEFER_UPDATE,
        CallbackType.UPDATE,
        CallbackType.MODAL,
    ),
    InteractionType.AUTOCOMPLETE: (CallbackType.AUTOCOMPLETE,),
    InteractionType.MODAL: (
        CallbackType.MESSAGE,
        CallbackType.DEFER,
        CallbackType.DEFER_UPDATE,
        CallbackType.UPDATE,
    ),
}


def respond(state: State, interaction_id: int, token: str, body: Json, files: Mapping[int, Upload]) -> Json:
    """The first answer. Raises 10062 when it comes too late and 40060 when it is the second."""
    interaction = state.invocations.get(interaction_id)
    if interaction is None or interaction.token != token:
        raise unknown_interaction()
    if interaction.answered:
        raise already_acknowledged()
    if state.clock() - interaction.created > state.times.respond_within:
        raise unknown_interaction()
    allowed = ANSWERABLE[interaction.type]
    if body.get("type") not in tuple(allowed):
        raise invalid_form(
            "type", "BASE_TYPE_CHOICES", f"Value must be one of {tuple(int(kind) for kind in allowed)}."
        )
    kind = CallbackType(body["type"])
    data = body.get("data") or {}
    if not isinstance(data, dict):
        raise invalid_form("data", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
    match kind:
        case CallbackType.MESSAGE:
            _post_original(state, interaction, data, files)
        case CallbackType.DEFER:
            _post_loading(state, interaction, data)
        case CallbackType.DEFER_UPDATE:
            interaction.original_id = interaction.message_id
        case CallbackType.UPDATE:
            interaction.original_id = interaction.message_id
            edit(state, interaction, _original(state, interaction), data, files)
        case CallbackType.AUTOCOMPLETE:
            interaction.choices = _read_choices(data)
        case CallbackType.MODAL:
            errors = FormErrors()
            check_modal(data, errors)
            errors.raise_any()
            interaction.modal = data
    interaction.answer = kind
    state.notify(
        Change("interaction", interaction.channel_id, interaction_id=interaction.id, user_id=interaction.user_id)
    )
    return _callback_json(state, interaction, kind)


def follow_up(state: State, token: str, body: Json, files: Mapping[int, Upload]) -> Message:
    """A further message. The first one after a deferred answer becomes that answer."""
    interaction = find(state, token)
    if not interaction.answered:
        raise unknown_webhook()
    original = _find_message(state, interaction, interaction.original_id)
    if original is not None and original.flags & MessageFlag.LOADING:
        edit(state, interaction, original, body, files)
        return original
    draft = _read(state, interaction, body, files)
    ephemeral = _wants_ephemeral(body)
    message = _add(state, interaction, draft, ephemeral=ephemeral)
    interaction.followup_ids.append(message.id)
    return message


def find(state: State, token: str) -> Interaction:
    """The interaction of a webhook token. Raises 10015, or 50027 when it has expired."""
    interaction = state.invocations.by_token(token)
    if interaction is None:
        raise unknown_webhook()
    if state.clock() - interaction.created > state.times.token_lives:
        raise expired_webhook_token()
    return interaction


def find_message(state: State, interaction: Interaction, which: str) -> Message:
    """`@original` or the id of a message that answers this interaction. Raises 10008."""
    if which == "@original":
        return _original(state, interaction)
    number = int(which) if which.isdigit() else None
    if number not in (interaction.original_id, *interaction.followup_ids):
        raise unknown_message()
    message = _find_message(state, interaction, number)
    if message is None:
        raise unknown_message()
    return message


def edit(
    state: State, interaction: Interaction, message: Message, body: Json, files: Mapping[int, Upload]
) -> None:
    """Edit an answer; one that was deferred is thereby filled."""
    channel = _channel(state, interaction)
    draft = _read(state, interaction, body, files, editing=message)
    loading = bool(message.flags & MessageFlag.LOADING)
    message.flags &= ~MessageFlag.LOADING
    posting.apply_edit(state, channel, message, draft)
    if loading:
        message.edited = None
        posting.note_pings(state, message)


def delete(state: State, interaction: Interaction, message: Message) -> None:
    if payloads.is_ephemeral(message):
        state.ephemeral.pop(message.id, None)
        state.notify(Change("ephemeral", message.channel_id, message.id, message.seen_only_by))
    else:
        posting.remove(state, _channel(state, interaction), message)


def _post_original(state: State, interaction: Interaction, data: Json, files: Mapping[int, Upload]) -> None:
    draft = _read(state, interaction, data, files)
    ephemeral = _wants_ephemeral(data)
    interaction.ephemeral = ephemeral
    interaction.original_id = _add(state, interaction, draft, ephemeral=ephemeral).id


def _post_loading(state: State, interaction: Interaction, data: Json) -> None:
    ephemeral = _wants_ephemeral(data)
    interaction.ephemeral = ephemeral
    draft = Draft(flags=MessageFlag.LOADING)
    interaction.original_id = _add(state, interaction, draft, ephemeral=ephemeral).id


def _add(state: State, interaction: Interaction, draft: Draft, *, ephemeral: bool) -> Message:
    channel = _channel(state, interaction)
    message = posting.compose(state, channel, state.bot, draft, ephemeral=ephemeral)
    message.invocation = Invocation(
        id=interaction.id,
        type=int(interaction.type),
        user_id=interaction.user_id,
        name=interaction.name,
        target_message_id=interaction.target_message_id,
    )
    if interaction.type is InteractionType.COMMAND:
        in_menu = interaction.data.get("type") != 1
        message.type = MessageType.CONTEXT_MENU_COMMAND if in_menu else MessageType.CHAT_INPUT_COMMAND
    if not ephemeral:
        posting.add_message(state, channel, message)
        return message
    message.seen_only_by = interaction.user_id
    state.ephemeral[message.id] = message
    if len(state.ephemeral) > MAX_EPHEMERAL:
        del state.ephemeral[next(iter(state.ephemeral))]
    state.notify(Change("ephemeral", channel.id, message.id, interaction.user_id))
    return message


def _read(
    state: State,
    interaction: Interaction,
    body: Json,
    files: Mapping[int, Upload],
    *,
    editing: Message | None = None,
) -> Draft:
    limit = payloads.file_limit_in(state, _channel(state, interaction))
    return read_message(body, files, file_limit=limit, editing=editing, flags=SENDABLE)


def _channel(state: State, interaction: Interaction) -> Channel:
    return state.channel(interaction.channel_id)


def _original(state: State, interaction: Interaction) -> Message:
    message = _find_message(state, interaction, interaction.original_id)
    if message is None:
        raise unknown_message()
    return message


def _find_message(state: State, interaction: Interaction, message_id: int | None) -> Message | None:
    if message_id is None:
        return None
    channel = state.channels.get(interaction.channel_id)
    public = channel.messages.get(message_id) if channel is not None else None
    return public or state.ephemeral.get(message_id)


def _wants_ephemeral(data: Json) -> bool:
    flags = data.get("flags")
    return isinstance(flags, int) and bool(flags & MessageFlag.EPHEMERAL)


def _read_choices(data: Json) -> list[Json]:
    errors = FormErrors()
    choices = errors.items("data.choices", data.get("choices"), high=MAX_CHOICES) or []
    for index, choice in enumerate(choices):
        errors.text(f"data.choices.{index}.name", choice.get("name"), low=1, high=MAX_CHOICE_TEXT)
        if isinstance(choice.get("value"), str):
            errors.text(f"data.choices.{index}.value", choice["value"], low=1, high=MAX_CHOICE_TEXT)
    errors.raise_any()
    return choices


def _callback_json(state: State, interaction: Interaction, kind: CallbackType) -> Json:
    about: Json = {"id": str(interaction.id), "type": int(interaction.type)}
    answer: Json = {"interaction": about}
    message = _find_message(state, interaction, interaction.original_id)
    if message is not None and kind is not CallbackType.MODAL:
        about["response_message_id"] = str(message.id)
        about["response_message_loading"] = bool(message.flags & MessageFlag.LOADING)
        about["response_message_ephemeral"] = payloads.is_ephemeral(message)
    if message is not None and kind in (CallbackType.MESSAGE, CallbackType.DEFER, CallbackType.UPDATE):
        answer["resource"] = {"type": int(kind), "message": payloads.message_json(state, message)}
    return answer
