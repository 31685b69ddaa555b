"""What Discord refuses in a message's components and in a modal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge.playground.discord.errors import FormErrors
from bridge.playground.discord.model import Json

# All limits are Discord's documented ones.
MAX_ROWS = 5
MAX_BUTTONS = 5
MAX_COMPONENTS_V2 = 40
MAX_TEXT_V2 = 4000
MAX_CUSTOM_ID = 100
MAX_LABEL = 80
MAX_URL = 512
MAX_OPTIONS = 25
MAX_OPTION_TEXT = 100
MAX_PLACEHOLDER = 150
MAX_GALLERY = 10
MAX_SECTION_TEXTS = 3
MODAL_COMPONENTS = 5
MODAL_TITLE = 45
LABEL_DESCRIPTION = 100
TEXT_INPUT = 4000
MAX_UPLOADS = 10
MAX_CHOICES = 10  # of a radio or checkbox group

ATTACHMENT_SCHEME = "attachment://"

ROW, BUTTON, STRING_SELECT, TEXT_FIELD = 1, 2, 3, 4
SELECTS = (3, 5, 6, 7, 8)
SECTION, TEXT, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER = 9, 10, 11, 12, 13, 14, 17
LABEL, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX = 18, 19, 21, 22, 23
TOP_V2 = (ROW, SECTION, TEXT, GALLERY, FILE, SEPARATOR, CONTAINER)
IN_LABEL = (*SELECTS, TEXT_FIELD, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX)
LINK_STYLE = 5
BUTTON_STYLES = (1, 2, 3, 4, 5, 6)


def walk(components: list[Json]) -> Iterator[Json]:
    """Every component, those inside others too."""
    for component in components:
        yield component
        yield from walk(component.get("components") or [])
        for inner in ("accessory", "component"):
            if isinstance(component.get(inner), dict):
                yield from walk([component[inner]])


def shown_text(components: list[Json]) -> str:
    """The Markdown that the text displays among the components show, one below the other."""
    return "\n".join(str(item.get("content", "")) for item in walk(components) if item.get("type") == TEXT)


def find_by_custom_id(components: list[Json], custom_id: str) -> Json | None:
    return next((item for item in walk(components) if item.get("custom_id") == custom_id), None)


def picked(select: Json, values: Sequence[str]) -> list[str]:
    """What a person may pick in a menu. Raises LookupError for anything else."""
    offered = [option["value"] for option in select.get("options") or ()]
    low, high = (1 if select.get(name) is None else select[name] for name in ("min_values", "max_values"))
    if not low <= len(values) <= high or (select["type"] == STRING_SELECT and not set(values) <= set(offered)):
        raise LookupError(f"not to be picked: {values}")
    return list(values)


def media_of(components: list[Json]) -> Iterator[Json]:
    """Everything that is shown from an address: files, thumbnails and pictures."""
    for item in walk(components):
        match item.get("type"):
            case 11:
                yield item["media"]
            case 12:
                yield from (picture["media"] for picture in item["items"])
            case 13:
                yield item["file"]


def number(components: list[Json]) -> list[Json]:
    """Give every component that has none an id of its own, as Discord does."""
    taken = {item["id"] for item in walk(components) if item.get("id")}
    free = (value for value in range(1, 10_000) if value not in taken)
    for item in walk(components):
        if not item.get("id"):
            item["id"] = next(free)
    return components


def check_message_components(components: object, *, v2: bool, errors: FormErrors) -> None:
    items = errors.items("components", components, high=MAX_COMPONENTS_V2 if v2 else MAX_ROWS)
    if items is None:
        return
    allowed = TOP_V2 if v2 else (ROW,)
    for index, component in enumerate(items):
        _check(component, f"components.{index}", allowed, errors)
    if errors:
        return
    _check_unique_ids(items, errors)
    if v2:
        if sum(1 for _ in walk(items)) > MAX_COMPONENTS_V2:
            errors.add("components", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_COMPONENTS_V2} or fewer in length.")
        text = sum(len(str(item.get("content", ""))) for item in walk(items) if item["type"] == TEXT)
        if text > MAX_TEXT_V2:
            errors.add(
                "components",
                "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
                f"The total size of displayable text in components must be {MAX_TEXT_V2} or fewer.",
            )


def check_modal(data: Json, errors: FormErrors) -> None:
    errors.text("data.title", data.get("title"), low=1, high=MODAL_TITLE)
    errors.text("data.custom_id", data.get("custom_id"), low=1, high=MAX_CUSTOM_ID)
    components = errors.items("data.components", data.get("components"), low=1, high=MODAL_COMPONENTS)
    if components is None:
        return
    for index, component in enumerate(components):
        path = f"data.components.{index}"
        match component.get("type"):
            case 18:
                _check_label(component, path, errors)
            case 10:
                errors.text(f"{path}.content", component.get("content"), low=1, high=MAX_TEXT_V2)
            case 1:
                _check_old_modal_row(component, path, errors)
            case _:
                errors.choice(f"{path}.type", (ROW, TEXT, LABEL))
    if not errors:
        _check_unique_ids(components, errors)


def _check(component: Json, path: str, allowed: tuple[int, ...], errors: FormErrors) -> None:
    kind = component.get("type")
    if kind not in allowed:
        errors.choice(f"{path}.type", allowed)
        return
    if kind in SELECTS:
        _check_select(component, path, errors)
        return
    match kind:
        case 1:
            _check_row(component, path, errors)
        case 2:
            _check_button(component, path, errors)
        case 9:
            _check_section(component, path, errors)
        case 10:
            errors.text(f"{path}.content", component.get("content"), low=1, high=MAX_TEXT_V2)
        case 11:
            _check_media(component.get("media"), f"{path}.media", errors)
        case 12:
            items = errors.items(f"{path}.items", component.get("items"), low=1, high=MAX_GALLERY)
            for index, item in enumerate(items or []):
                _check_media(item.get("media"), f"{path}.items.{index}.media", errors)
        case 13:
            _check_media(component.get("file"), f"{path}.file", errors)
        case 17:
            inner = tuple(kind for kind in TOP_V2 if kind != CONTAINER)
            children = errors.items(
                f"{path}.components", component.get("components"), low=1, high=MAX_COMPONENTS_V2
            )
            for index, child in enumerate(children or []):
                _check(child, f"{path}.components.{index}", inner, errors)


def _check_row(row: Json, path: str, errors: FormErrors) -> None:
    children = errors.items(f"{path}.components", row.get("components"), low=1, high=MAX_BUTTONS) or []
    if len(children) > 1 and any(child.get("type") in SELECTS for child in children):
        errors.add(
            f"{path}.components",
            "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
            "The specified component exceeds the maximum width",
        )
    for index, child in enumerate(children):
        _check(child, f"{path}.components.{index}", (BUTTON, *SELECTS), errors)


def _check_button(button: Json, path: str, errors: FormErrors) -> None:
    style = button.get("style")
    if style not in BUTTON_STYLES:
        errors.choice(f"{path}.style", BUTTON_STYLES)
    errors.text(f"{path}.label", button.get("label"), high=MAX_LABEL, needed=False)
    emoji = button.get("emoji")
    if emoji is not None and not (isinstance(emoji, dict) and _is_emoji(emoji)):
        errors.add(f"{path}.emoji", "COMPONENT_INVALID_EMOJI", "Invalid emoji")
    if not button.get("label") and not emoji and style != 6:
        errors.add(path, "BUTTON_COMPONENT_LABEL_OR_EMOJI_REQUIRED", "A button needs a label or an emoji")
    if style == LINK_STYLE:
        errors.text(f"{path}.url", button.get("url"), low=1, high=MAX_URL)
        if "custom_id" in button:
            errors.add(
                path,
                "BUTTON_COMPONENT_CUSTOM_ID_URL_MUTUALLY_EXCLUSIVE",
                "A custom id and url cannot both be specified",
            )
    elif style != 6:
        errors.text(f"{path}.custom_id", button.get("custom_id"), low=1, high=MAX_CUSTOM_ID)


def _check_select(select: Json, path: str, errors: FormErrors) -> None:
    errors.text(f"{path}.custom_id", select.get("custom_id"), low=1, high=MAX_CUSTOM_ID)
    errors.text(f"{path}.placeholder", select.get("placeholder"), high=MAX_PLACEHOLDER, needed=False)
    if select.get("type") == STRING_SELECT:
        _check_options(select, MAX_OPTIONS, path, errors)
        values = [option.get("value") for option in select.get("options") or ()]
        if len(set(values)) != len(values):
            errors.add(
                f"{path}.options",
                "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
                "The specified option value is already used",
            )
    _check_range(select, path, MAX_OPTIONS, errors)


def _check_options(component: Json, most: int, path: str, errors: FormErrors) -> None:
    path = f"{path}.options"
    for index, option in enumerate(errors.items(path, component.get("options"), low=1, high=most) or []):
        for name in ("label", "value"):
            errors.text(f"{path}.{index}.{name}", option.get(name), low=1, high=MAX_OPTION_TEXT)
        errors.text(f"{path}.{index}.description", option.get("description"), high=MAX_OPTION_TEXT, needed=False)


def _check_section(section: Json, path: str, errors: FormErrors) -> None:
    texts = errors.items(f"{path}.components", section.get("components"), low=1, high=MAX_SECTION_TEXTS)
    for index, text in enumerate(texts or []):
        _check(text, f"{path}.components.{index}", (TEXT,), errors)
    if not isinstance(section.get("accessory"), dict):
        errors.required(f"{path}.accessory")
    else:
        _check(section["accessory"], f"{path}.accessory", (BUTTON, THUMBNAIL), errors)


def _check_media(media: object, path: str, errors: FormErrors) -> None:
    if not isinstance(media, dict):
        errors.required(path)
    elif not str(media.get("url", "")).startswith(("http://", "https://", ATTACHMENT_SCHEME)):
        errors.add(
            f"{path}.url",
            "URL_TYPE_INVALID_SCHEME",
            f"Scheme \"{media.get('url')}\" is not supported. Scheme must be one of ('http', 'https').",
        )


def _is_emoji(emoji: Json) -> bool:
    """A server's own by its id, else the emoji itself: letters are none."""
    name = emoji.get("name")
    return bool(emoji.get("id")) or (isinstance(name, str) and bool(name) and not name.isascii())


def _check_label(label: Json, path: str, errors: FormErrors) -> None:
    errors.text(f"{path}.label", label.get("label"), low=1, high=MODAL_TITLE)
    errors.text(f"{path}.description", label.get("description"), high=LABEL_DESCRIPTION, needed=False)
    inner = label.get("component")
    if not isinstance(inner, dict):
        errors.required(f"{path}.component")
        return
    path = f"{path}.component"
    kind = inner.get("type")
    if kind not in IN_LABEL:
        errors.choice(f"{path}.type", IN_LABEL)
        return
    errors.text(f"{path}.custom_id", inner.get("custom_id"), low=1, high=MAX_CUSTOM_ID)
    if kind in SELECTS:
        _check_select(inner, path, errors)
    elif kind in (RADIO_GROUP, CHECKBOX_GROUP):
        _check_options(inner, MAX_CHOICES, path, errors)
    elif kind == FILE_UPLOAD:
        _check_range(inner, path, MAX_UPLOADS, errors)
    elif kind == TEXT_FIELD:
        _check_text_field(inner, path, errors)


def _check_old_modal_row(row: Json, path: str, errors: FormErrors) -> None:
    children = errors.items(f"{path}.components", row.get("components"), low=1, high=1)
    if children is None:
        return
    field = children[0]
    if field.get("type") != TEXT_FIELD:
        errors.choice(f"{path}.components.0.type", (TEXT_FIELD,))
        return
    errors.text(f"{path}.components.0.label", field.get("label"), low=1, high=MODAL_TITLE)
    errors.text(f"{path}.components.0.custom_id", field.get("custom_id"), low=1, high=MAX_CUSTOM_ID)
    _check_text_field(field, f"{path}.components.0", errors)


def _check_text_field(field: Json, path: str, errors: FormErrors) -> None:
    if field.get("style") not in (1, 2):
        errors.choice(f"{path}.style", (1, 2))
    errors.text(f"{path}.placeholder", field.get("placeholder"), high=LABEL_DESCRIPTION, needed=False)
    errors.text(f"{path}.value", field.get("value"), high=TEXT_INPUT, needed=False)
    for name, low in (("min_length", 0), ("max_length", 1)):
        if field.get(name) is not None:
            errors.number(f"{path}.{name}", field[name], low=low, high=TEXT_INPUT)


def _check_range(component: Json, path: str, most: int, errors: FormErrors) -> None:
    low = errors.number(f"{path}.min_values", component.get("min_values", 1), high=most)
    high = errors.number(f"{path}.max_values", component.get("max_values", 1), low=1, high=most)
    if low is not None and high is not None and high < low:
        errors.add(f"{path}.max_values", "NUMBER_TYPE_MIN", f"int value should be at least {low}.")


def _check_unique_ids(components: list[Json], errors: FormErrors) -> None:
    seen: set[str] = set()
    for item in walk(components):
        custom_id = item.get("custom_id")
        if custom_id is None:
            continue
        if custom_id in seen:
            errors.add("components", "COMPONENT_CUSTOM_ID_DUPLICATED", "Component custom id cannot be duplicated")
        seen.add(custom_id)
