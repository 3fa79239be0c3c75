"""Who hears of files and pauses: the models of a folder's `hooks` and `notify`. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from watcherd.config import values
from watcherd.config.kinds import Commands, Secret, Switch, WebhookAddress
from watcherd.config.section import Section


class Hooks(Section):
    """Programs that are started when a file is done or has failed; no shell reads what stands here."""

    done: Commands = ()
    """Commands for each file that was translated, each as the list of its words."""
    failed: Commands = ()
    """Commands for each file that went to the failed folder."""


class Webhook(Section):
    """An address that hears of events by a POST."""

    allow_http: Switch = False  # stands before url, whose check asks for it
    """Allow plain http to another machine, which shows file names and the address to the network."""
    url: Annotated[WebhookAddress, Field(examples=["https://hooks.example/watcherd"])]
    """Where to: the address, or {env: NAME}, {file: PATH}, {credential: NAME} where it is a secret itself."""
    secret: Secret | None = None
    """What requests are signed with (HMAC-SHA256): {env: NAME}, {file: PATH}, {credential: NAME}."""

    @field_validator("url")
    @classmethod
    def _is_private(cls, url: SecretStr, info: ValidationInfo) -> SecretStr:
        """File names in the clear over a network need the user's word, as speech does."""
        if values.is_overheard(url.get_secret_value()) and not info.data.get("allow_http", True):
            raise ValueError(
                "plain http would show file names to the network; use https, or set allow_http: true here"
            )
        return url
