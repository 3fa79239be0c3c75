"""Where the status page is, and who may use it: the model of `status`. Pure."""

from __future__ import annotations

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from watcherd.config import values
from watcherd.config.kinds import HostName, Listen, Secret
from watcherd.config.section import Section

SHORTEST = 16  # characters of a token; a password of that length is not found by asking


class StatusPage(Section):
    """The status page and its API on the network."""

    token: Secret | None = None  # stands before listen, whose check asks for it
    """What opens the page: {env: NAME}, {file: PATH}, {credential: NAME}, or the token itself."""
    listen: Listen = Field(default="127.0.0.1:8484", validate_default=True)
    """An address of this machine and a port; any other than 127.0.0.1 and [::1] needs a token."""
    allowed_hosts: tuple[HostName, ...] = ()
    """Further names under which browsers reach the page, such as media.example behind a proxy."""

    @property
    def place(self) -> tuple[str, int]:
        """The address and the port."""
        return values.listen(self.listen)

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it."""
        return values.is_loopback(self.place[0])

    @field_validator("token")
    @classmethod
    def _is_long(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < SHORTEST:
            raise ValueError(f"write at least {SHORTEST} characters; make some with: openssl rand -hex 32")
        return token

    @field_validator("listen")
    @classmethod
    def _is_guarded(cls, listen: str, info: ValidationInfo) -> str:
        """File names and subtitles are for others only with a token."""
        if not values.is_loopback(values.listen(listen)[0]) and info.data.get("token", True) is None:
            raise ValueError(
                "other machines reach this address: set a token beside it, such as token: {file: PATH}"
            )
        return listen
