"""Reads what the bot sends as a message, and refuses what Discord refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bridge.playground.discord.components import ATTACHMENT_SCHEME, check_message_components, media_of
from bridge.playground.discord.errors import FormErrors, empty_message, too_large
from bridge.playground.discord.files import MAX_FILES, MAX_REQUEST, plain_name
from bridge.playground.discord.mentions import check_allowed_mentions
from bridge.playground.discord.model import Json, Message, MessageFlag, Upload

# All limits are Discord's documented ones.
MAX_CONTENT = 2000
MAX_NONCE = 25
MAX_EMBEDS = 10
MAX_EMBED_TEXT = 6000  # of all embeds of a message together
EMBED_LIMITS = {"title": 256, "description": 4096}
MAX_EMBED_FIELDS = 25
MAX_DESCRIPTION = 1024  # of a file
MAX_FLAGS = 2**31 - 1

SENDABLE = MessageFlag.SUPPRESS_EMBEDS | MessageFlag.SUPPRESS_NOTIFICATIONS | MessageFlag.COMPONENTS_V2
EDITABLE = MessageFlag.SUPPRESS_EMBEDS | MessageFlag.COMPONENTS_V2


@dataclass(slots=True)
class Draft:
    """A message to be sent or an edit of one; in an edit None means that it stays as it was."""

    content: str | None = None
    embeds: list[Json] | None = None
    poll: Json | None = None
    components: list[Json] | None = None
    flags: MessageFlag | None = None
    kept: list[int] | None = None  # ids of attachments that an edit leaves in place
    uploads: list[Upload] = field(default_factory=list)
    allowed_mentions: Json | None = None
    reply_to: int | None = None
    reply_must_exist: bool = True
    nonce: str | int | None = None
    enforce_nonce: bool = False
    tts: bool = False


def read_message(
    body: Json,
    files: Mapping[int, Upload],
    *,
    file_limit: int,
    editing: Message | None = None,
    flags: MessageFlag = SENDABLE,
) -> Draft:
    """The draft in a request's body. Raises 50035 with all that is wrong, 50006 or 40005."""
    errors = FormErrors()
    draft = Draft(
        content=_read_content(body, errors),
        flags=_read_flags(body, flags if editing is None else EDITABLE, errors),
        allowed_mentions=body.get("allowed_mentions"),
        nonce=body.get("nonce"),
        enforce_nonce=bool(body.get("enforce_nonce")),
        tts=bool(body.get("tts")),
    )
    is_v2 = _is_v2(draft, editing)
    if body.get("embeds") is not None:
        draft.embeds = errors.items("embeds", body["embeds"], high=MAX_EMBEDS) or []
        _check_embeds(draft.embeds, errors)
    if body.get("components") is not None:
        check_message_components(body["components"], v2=is_v2, errors=errors)
        draft.components = body["components"]
    if is_v2:
        _check_no_legacy(draft, editing, body, errors)
    check_allowed_mentions(draft.allowed_mentions, errors)
    if draft.nonce is not None and len(str(draft.nonce)) > MAX_NONCE:
        errors.add("nonce", "NONCE_TYPE_TOO_LONG", f"Must be {MAX_NONCE} or fewer in length.")
    _read_reference(body, draft, errors)
    _read_attachments(body, files, draft, errors)
    if draft.components and not errors:
        _check_media(draft.components, draft, editing, errors)
    errors.raise_any()
    _check_sizes(draft, file_limit)
    if editing is None and _is_empty(draft):
        raise empty_message()
    return draft


def _read_content(body: Json, errors: FormErrors) -> str | None:
    if "content" not in body:
        return None
    content = body["content"]
    if content is None:
        return ""
    if not errors.text("content", content, high=MAX_CONTENT):
        return None
    return str(content).strip()


def _read_flags(body: Json, allowed: MessageFlag, errors: FormErrors) -> MessageFlag | None:
    flags = errors.number("flags", body.get("flags"), high=MAX_FLAGS)
    return None if flags is None else MessageFlag(flags) & allowed


def _is_v2(draft: Draft, editing: Message | None) -> bool:
    if draft.flags is not None and draft.flags & MessageFlag.COMPONENTS_V2:
        return True
    return editing is not None and bool(editing.flags & MessageFlag.COMPONENTS_V2)


def _check_no_legacy(draft: Draft, editing: Message | None, body: Json, errors: FormErrors) -> None:
    content, embeds = draft.content, draft.embeds
    if editing is not None:
        content = editing.content if content is None else content
        embeds = editing.embeds if embeds is None else embeds
    for name, value in (("content", content), ("embeds", embeds), ("poll", body.get("poll"))):
        if value:
            errors.add(
                name,
                "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
            )


def _check_embeds(embeds: list[Json], errors: FormErrors) -> None:
    total = 0
    for index, embed in enumerate(embeds):
        path = f"embeds.{index}"
        for name, limit in EMBED_LIMITS.items():
            errors.text(f"{path}.{name}", embed.get(name), high=limit, needed=False)
            total += len(str(embed.get(name) or ""))
        for place, item in enumerate(
            errors.items(f"{path}.fields", embed.get("fields", []), high=MAX_EMBED_FIELDS) or []
        ):
            errors.text(f"{path}.fields.{place}.name", item.get("name"), low=1, high=256)
            errors.text(f"{path}.fields.{place}.value", item.get("value"), low=1, high=1024)
            total += len(str(item.get("name", ""))) + len(str(item.get("value", "")))
        for part, name, limit in (("footer", "text", 2048), ("author", "name", 256)):
            holder = embed.get(part)
            text = holder.get(name) if isinstance(holder, dict) else None
            errors.text(f"{path}.{part}.{name}", text, high=limit, needed=False)
            total += len(str(text or ""))
    if total > MAX_EMBED_TEXT:
        errors.add("embeds", "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {MAX_EMBED_TEXT}")


def _read_reference(body: Json, draft: Draft, errors: FormErrors) -> None:
    reference = body.get("message_reference")
    if reference is None:
        return
    try:
        draft.reply_to = int(reference["message_id"])
        draft.reply_must_exist = reference.get("fail_if_not_exists", True)
    except (AttributeError, KeyError, TypeError, ValueError):
        errors.required("message_reference.message_id")


def _read_attachments(body: Json, files: Mapping[int, Upload], draft: Draft, errors: FormErrors) -> None:
    described: dict[int, Json] = {}
    if "attachments" in body:
        draft.kept = []
        for item in errors.items("attachments", body["attachments"] or [], high=MAX_FILES) or []:
            number = int(item["id"]) if str(item.get("id")).isdigit() else -1
            if number in files:
                described[number] = item
            else:
                draft.kept.append(number)
    for number, upload in sorted(files.items()):
        item = described.get(number, {})
        errors.text(
            f"attachments.{number}.description", item.get("description"), high=MAX_DESCRIPTION, needed=False
        )
        name = str(item.get("filename") or upload.name)
        errors.text(f"attachments.{number}.title", item.get("title"), high=MAX_DESCRIPTION, needed=False)
        about = item.get("description"), item.get("title")
        draft.uploads.append(Upload(name, upload.media_type, upload.data, *about))
    if len(draft.uploads) > MAX_FILES:
        errors.add("attachments", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_FILES} or fewer in length.")


def _check_media(components: list[Json], draft: Draft, editing: Message | None, errors: FormErrors) -> None:
    names = {plain_name(upload.name) for upload in draft.uploads}
    if editing is not None:
        names |= {item.name for item in editing.attachments if draft.kept is None or item.id in draft.kept}
    for media in media_of(components):
        address = str(media["url"])
        if address.startswith(ATTACHMENT_SCHEME) and address.removeprefix(ATTACHMENT_SCHEME) not in names:
            errors.add("components", "REFERENCED_ATTACHMENT_NOT_FOUND", f"Unknown attachment {address}")


def _check_sizes(draft: Draft, file_limit: int) -> None:
    sizes = [len(upload.data) for upload in draft.uploads]
    if any(size > file_limit for size in sizes) or sum(sizes) > MAX_REQUEST:
        raise too_large()


def _is_empty(draft: Draft) -> bool:
    if draft.flags is not None and draft.flags & MessageFlag.COMPONENTS_V2:
        return not draft.components
    return not (draft.content or draft.embeds or draft.uploads)
