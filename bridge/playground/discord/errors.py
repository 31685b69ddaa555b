"""How the simulated API refuses: a status, Discord's own code and, for a bad form, the tree of what is wrong."""

from __future__ import annotations

from bridge.playground.discord.model import Json

INVALID_FORM = 50035


class ApiError(Exception):
    """A refusal as Discord words it. `headers` go into the answer besides."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        *,
        errors: Json | None = None,
        extra: Json | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code} {message}")
        self.status = status
        self.code = code
        self.headers = headers or {}
        self.body: Json = {"message": message, "code": code}
        if errors is not None:
            self.body["errors"] = errors
        self.body.update(extra or {})


def not_found() -> ApiError:
    return ApiError(404, 0, "404: Not Found")


def method_not_allowed() -> ApiError:
    return ApiError(405, 0, "405: Method Not Allowed")


def unauthorized() -> ApiError:
    return ApiError(401, 0, "401: Unauthorized")


def unknown_channel() -> ApiError:
    return ApiError(404, 10003, "Unknown Channel")


def unknown_guild() -> ApiError:
    return ApiError(404, 10004, "Unknown Guild")


def unknown_member() -> ApiError:
    return ApiError(404, 10007, "Unknown Member")


def unknown_message() -> ApiError:
    return ApiError(404, 10008, "Unknown Message")


def unknown_user() -> ApiError:
    return ApiError(404, 10013, "Unknown User")


def unknown_emoji() -> ApiError:
    return ApiError(400, 10014, "Unknown Emoji")


def unknown_webhook() -> ApiError:
    return ApiError(404, 10015, "Unknown Webhook")


def unknown_application() -> ApiError:
    return ApiError(404, 10002, "Unknown Application")


def unknown_interaction() -> ApiError:
    return ApiError(404, 10062, "Unknown interaction")


def unknown_command() -> ApiError:
    return ApiError(404, 10063, "Unknown application command")


def too_large() -> ApiError:
    return ApiError(413, 40005, "Request entity too large")


def already_acknowledged() -> ApiError:
    return ApiError(400, 40060, "Interaction has already been acknowledged.")


def missing_access() -> ApiError:
    return ApiError(403, 50001, "Missing Access")


def not_your_message() -> ApiError:
    return ApiError(403, 50005, "Cannot edit a message authored by another user")


def empty_message() -> ApiError:
    return ApiError(400, 50006, "Cannot send an empty message")


def cannot_message_user() -> ApiError:
    return ApiError(403, 50007, "Cannot send messages to this user")


def not_a_text_channel() -> ApiError:
    return ApiError(400, 50008, "Cannot send messages in a non-text channel")


def missing_permissions() -> ApiError:
    return ApiError(403, 50013, "Missing Permissions")


def not_on_system_message() -> ApiError:
    return ApiError(403, 50021, "Cannot execute action on a system message")


def wrong_channel_type() -> ApiError:
    return ApiError(400, 50024, "Cannot execute action on this channel type")


def expired_webhook_token() -> ApiError:
    return ApiError(401, 50027, "Invalid Webhook Token")


def thread_archived() -> ApiError:
    return ApiError(400, 50083, "Thread is archived")


def bad_json() -> ApiError:
    return ApiError(400, 50109, "The request body contains invalid Json.")


def thread_exists() -> ApiError:
    return ApiError(400, 160004, "A thread has already been created for this message")


def thread_locked() -> ApiError:
    return ApiError(403, 160005, "Thread is locked")


class FormErrors:
    """Collects what is wrong with a request, each at its place, and raises it all at once."""

    def __init__(self) -> None:
        self._tree: Json = {}

    def add(self, path: str, code: str, message: str) -> None:
        """Note an error at `path`, parts joined by dots: `components.0.label`."""
        node = self._tree
        for part in path.split(".") if path else []:
            node = node.setdefault(part, {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def required(self, path: str) -> None:
        self.add(path, "BASE_TYPE_REQUIRED", "This field is required")

    def choice(self, path: str, allowed: tuple[object, ...]) -> None:
        shown = ", ".join(str(value) for value in allowed)
        self.add(path, "BASE_TYPE_CHOICES", f"Value must be one of ({shown}).")

    def text(self, path: str, value: object, *, low: int = 0, high: int, needed: bool = True) -> bool:
        """Check a string's length in characters. True if it is a string that fits."""
        if value is None or (value == "" and low > 0):
            if needed:
                self.required(path)
            return not needed
        if not isinstance(value, str):
            self.add(path, "STRING_TYPE_CONVERT", "Could not interpret value as string.")
            return False
        if low <= len(value) <= high:
            return True
        if low:
            self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length.")
        else:
            self.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {high} or fewer in length.")
        return False

    def number(self, path: str, value: object, *, low: int = 0, high: int) -> int | None:
        """Check a number and its range. Returns it if it is one that fits; None may be left out."""
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            self.add(path, "NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
            return None
        if low <= value <= high:
            return value
        self.add(path, "NUMBER_TYPE_MAX", f"int value should be between {low} and {high}.")
        return None

    def items(self, path: str, value: object, *, low: int = 0, high: int) -> list[Json] | None:
        """Check that it is a list of objects and its length. Returns it if it is one that fits."""
        if not isinstance(value, list):
            self.add(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
            return None
        if not low <= len(value) <= high:
            if low:
                self.add(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length.")
            else:
                self.add(path, "BASE_TYPE_MAX_LENGTH", f"Must be {high} or fewer in length.")
            return None
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                self.add(
                    f"{path}.{index}".lstrip("."),
                    "DICT_TYPE_CONVERT",
                    "Only dictionaries may be used in a DictType",
                )
                return None
        return value

    def __bool__(self) -> bool:
        return bool(self._tree)

    def raise_any(self) -> None:
        if self._tree:
            raise ApiError(400, INVALID_FORM, "Invalid Form Body", errors=self._tree)


def invalid_form(path: str, code: str, message: str) -> ApiError:
    """A form with one thing wrong."""
    errors = FormErrors()
    errors.add(path, code, message)
    return ApiError(400, INVALID_FORM, "Invalid Form Body", errors=errors._tree)
