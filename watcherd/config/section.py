"""A mapping of the file: plain data with the file's own keys comes in, a frozen model goes out. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """A mapping of the file. A key with nothing behind it means that key's default.

    Where a key of the file is no name in Python, the field has another name, and the key as its alias.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nothing(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        known = cls.known_keys()
        return {key: value for key, value in data.items() if value is not None or key not in known}

    @classmethod
    def known_keys(cls) -> list[str]:
        """What the file calls the fields, in their order."""
        return [str(field.validation_alias or name) for name, field in cls.model_fields.items()]
