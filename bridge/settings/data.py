"""The `[data]` table of the settings: what is kept, how long, and how."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from bridge.cipher import Cipher, read_key
from bridge.store.encryption import Encryption

MAX_KEYS = 10
Days = Annotated[float, Field(ge=0, le=36_500)]


class DataSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: Annotated[list[SecretStr], Field(max_length=MAX_KEYS)] = Field(
        default=[],
        description="Keys that encrypt what is stored, 32 bytes each as `openssl rand -base64 32` makes them."
        " The first encrypts, all decrypt: a new one is put in front.",
    )
    encrypt_text: bool = Field(
        default=False,
        description="Whether what people wrote and agents answered is stored encrypted; needs a key.",
    )
    keep_threads_days: Days = Field(
        default=0,
        description="A thread in which nobody wrote for so many days is removed with all that it holds; one that is"
        " worked on isn't. 0: never.",
    )
    keep_turns_days: Days = Field(
        default=0,
        description="A turn that ended so many days ago is removed: question, answer, names, files, feedback. One that"
        " waits for a person stays until its thread goes. 0: never.",
    )
    keep_files_days: Days = Field(
        default=0,
        description="Of a turn that ended so many days ago, names and addresses of files, and tables and charts, are"
        " removed; its words stay. 0: as long as the turn.",
    )
    keep_feedback_days: Days = Field(
        default=0,
        description="What people think of answers is removed after so many days. 0: as long as the turn.",
    )
    keep_audit_days: Days = Field(
        default=0, description="Lines of the audit log are removed after so many days. 0: never."
    )

    @field_validator("keys")
    @classmethod
    def _are_keys(cls, keys: list[SecretStr]) -> list[SecretStr]:
        for key in keys:
            read_key(key)
        return keys

    @model_validator(mode="after")
    def _can_encrypt(self) -> DataSettings:
        if self.encrypt_text and not self.keys:
            raise ValueError("encrypt_text needs a key in keys, as `openssl rand -base64 32` makes one")
        return self

    @property
    def cipher(self) -> Cipher | None:
        """None without a key."""
        return Cipher(self.keys) if self.keys else None

    @property
    def encryption(self) -> Encryption | None:
        """How texts are stored. None without a key."""
        return Encryption(self.keys, encrypts=self.encrypt_text) if self.keys else None
