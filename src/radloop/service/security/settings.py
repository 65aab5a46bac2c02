"""What an administrator may set of the security, with defaults that are safe on one machine."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class UploadLimits(_Part):
    """What one upload may hold; each bound is checked while the bytes come, not afterwards.

    bytes: of all files together, unpacked. file_bytes: of one file. files: their number, those
    inside archives included. ratio: unpacked over packed bytes of an archive's member. frames: of
    one DICOM file. pixels: rows times columns of one frame.
    """

    bytes: int = Field(default=4 * 1024**3, gt=0)
    file_bytes: int = Field(default=1024**3, gt=0)
    files: int = Field(default=5000, gt=0)
    ratio: float = Field(default=200.0, gt=1)
    frames: int = Field(default=4000, gt=0)
    pixels: int = Field(default=100_000_000, gt=0)


class OidcSettings(_Part):
    """A provider of identities (OpenID Connect, authorization code flow with PKCE).

    issuer: its address, under which `/.well-known/openid-configuration` lies. roles: what a value
    of the claim `claim` is worth here; somebody with none of them gets no account. sites: likewise
    which sites a value may see.
    """

    issuer: str
    client_id: str
    client_secret: str = ""
    name: str = "single sign-on"
    claim: str = "groups"
    roles: dict[str, str] = Field(default_factory=dict)
    sites: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class SecuritySettings(_Part):
    """idle_minutes, absolute_hours: when a session ends. hosts: names under which the pages may be
    asked for (against DNS rebinding), beside that of `web.public_url`; "*" allows all. logins:
    tries a minute and address. requests: a minute and account or address. lock_after: wrong
    passwords in a row after which an account waits.
    """

    idle_minutes: int = Field(default=30, gt=0)
    absolute_hours: int = Field(default=12, gt=0)
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")
    logins: int = Field(default=10, gt=0)
    requests: int = Field(default=1200, gt=0)
    lock_after: int = Field(default=5, gt=0)
    uploads: UploadLimits = UploadLimits()
    oidc: OidcSettings | None = None
