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
