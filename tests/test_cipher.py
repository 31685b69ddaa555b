"""Single values encrypted: by the first key, read by all, and named by their key's id."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError

from bridge.cipher import MARK, PREFIX_LENGTH, Cipher, WrongKey, id_of, is_encrypted
from bridge.settings import DataSettings
from tests.store.keys import key

OLD, NEW = key(1), key(2)


@pytest.mark.parametrize("text", ["", "a", "ünïcödé 🎉", "\ud800 half a pair", MARK, "x" * 100_000])
def test_what_is_encrypted_is_read_again(text: str) -> None:
    cipher = Cipher([OLD])
    stored = cipher.encrypt(text)
    assert is_encrypted(stored)
    assert len(text) < 3 or text not in stored[PREFIX_LENGTH:]
    assert cipher.decrypt(stored) == text
    assert cipher.encrypt(text) != stored, "alike texts can't be told"


def test_the_first_key_encrypts_and_all_decrypt() -> None:
    before = Cipher([OLD]).encrypt("words")
    both = Cipher([NEW, OLD])
    assert both.decrypt(before) == "words"
    assert not both.is_newest(before)
    assert both.is_newest(both.encrypt("words"))
    assert id_of(both.encrypt("words")) == both.newest != id_of(before)


def test_a_missing_key_is_named_and_the_value_isnt() -> None:
    stored = Cipher([OLD]).encrypt("words")
    with pytest.raises(WrongKey, match=f"^key {Cipher([OLD]).newest} isn't in data.keys$"):
        Cipher([NEW]).decrypt(stored)


@pytest.mark.parametrize("at", [PREFIX_LENGTH + 3, PREFIX_LENGTH + 40, -9])
def test_a_changed_value_is_refused(at: int) -> None:
    stored = Cipher([OLD]).encrypt("words")
    changed = "A" if stored[at] != "A" else "B"
    with pytest.raises(WrongKey, match="changed"):
        Cipher([OLD]).decrypt(stored[:at] + changed + stored[at:][1:])


def test_an_id_that_is_none_isnt_written_into_the_log() -> None:
    with pytest.raises(WrongKey, match=r"key \(unknown\) isn't"):
        Cipher([OLD]).decrypt(f"{MARK}\x1b[31mred:xx")


def test_clear_text_is_given_back_as_it_is() -> None:
    assert Cipher([OLD]).decrypt("words") == "words"


def test_a_keys_id_tells_nothing_of_it() -> None:
    assert Cipher([OLD]).newest not in OLD.get_secret_value()


@pytest.mark.parametrize("wrong", ["", "short", "!" * 44, "QUJD"])
def test_what_is_no_key_is_one_sentence_without_it(wrong: str) -> None:
    with pytest.raises(ValidationError) as caught:
        DataSettings(keys=[SecretStr(wrong)])
    [error] = caught.value.errors()
    assert "openssl rand -base64 32" in error["msg"]
    assert not wrong or wrong not in error["msg"]


def test_texts_cant_be_encrypted_without_a_key() -> None:
    with pytest.raises(ValidationError, match="encrypt_text needs a key"):
        DataSettings(encrypt_text=True)
    assert DataSettings().encryption is None
