"""Every setting of the service, documented once: the field's description is its `--help`, its line
in `csmf-serve --list-settings`, and is held against docs/operations.md by a test.

Decisions
- Settings come from the environment only (`CSMF_RELEASES`, …); command-line flags set the same
  variables, so that worker processes read what the parent read.
- No setting changes what a bundle means; weights are data, kept in the weights store.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "CSMF_"
DAY_S = 86_400.0  # no clock takes infinity
OTHER_VARIABLES = {"CSMF_URL", "CSMF_KEY"}  # read by clients


class SettingsError(ValueError):
    """An environment variable whose value cannot be used; str() is one line for an operator."""


class Settings(BaseSettings):
    """The service's settings, read from the environment on construction."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    releases: Path = Field(
        Path("releases"), description="Folder of bundles and indexes; its CURRENT names the pair."
    )
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    keys_file: str = Field(
        "", description="File that csmf-keys keeps; callers then need one of its keys."
    )
    anonymous: str = Field(
        "",
        pattern="^(|loopback)$",
        description="With `loopback` callers need no key, and only this machine is listened to.",
    )
    open_metrics: bool = Field(False, description="Show /metrics without a key too.")
    tls_cert: str = Field(
        "", description="Certificate chain in PEM: serve HTTPS; CSMF_TLS_KEY is its key."
    )
    tls_key: str = Field("", description="Private key of CSMF_TLS_CERT in PEM, not encrypted.")
    workers: int = Field(
        1, ge=1, le=256, description="Worker processes that share the port; each uses one core."
    )
    max_in_flight: int = Field(
        128,
        ge=1,
        description="Most requests a worker takes on at once, and fewer once it had to refuse one; "
        "more are answered 503 at once.",
    )
    deadline_ms: float = Field(
        0,
        ge=0,
        description="Milliseconds in which callers without an X-Deadline-Ms want an answer; 0 "
        "means whenever it comes.",
    )
    recall_floor: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Recall that a search keeps under pressure; 1 means no search is cut short.",
    )
    redis_url: SecretStr = Field(
        SecretStr(""),
        description="Redis that keeps the weights, as redis://host:6379/0; empty means a local "
        "file, shared by the workers of this machine.",
    )
    features_url: SecretStr = Field(
        SecretStr(""),
        description="Redis that keeps users' features and seen items; empty: requests bring all.",
    )
    features_timeout_ms: float = Field(
        5.0,
        gt=0,
        le=60_000,
        description="Milliseconds to wait for it, and a tenth more for each further user of a "
        "batch; then a request goes on with what it brought.",
    )
    max_seen: int = Field(
        200, ge=0, description="Newest seen items of a user that exclude_seen leaves out."
    )
    state_dir: Path = Field(
        Path("state"),
        description="Local folder for the weights file, the last known weights and pair, and "
        "receipts of hashed files; keep it across restarts, on a local disk.",
    )
    weights_poll_s: float = Field(
        1.0,
        gt=0,
        le=DAY_S,
        description="Seconds between reads of the weights store beside its signals.",
    )
    releases_poll_s: float = Field(
        1.0, gt=0, le=DAY_S, description="Seconds between looks at CURRENT."
    )
    pin: str = Field(
        "",
        pattern=r"^$|^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Serve this pair, given as RUN/BUILD, whatever CURRENT names.",
    )
    min_items: int = Field(1, ge=1, description="A new pair with fewer items is refused.")
    max_items: int = Field(
        0, ge=0, description="A new pair with more items is refused; 0 means no bound."
    )
    max_shrink: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A new pair that lacks a larger share of the items served now is refused.",
    )
    serve_unknown_scenarios: bool = Field(
        False, description="Serve a scenario that has no weights with those of `default`, not 404."
    )
    max_k: int = Field(1000, ge=1, description="Largest k of a request.")
    max_batch: int = Field(32, ge=1, description="Most users of one batch of lists.")
    max_candidates: int = Field(1000, ge=1, description="Most items a request may have scored.")
    max_sequence: int = Field(
        1000,
        ge=1,
        description="Longest list in a user's features, with all that is nested in it; a vector "
        "may have its dims.",
    )
    max_features: int = Field(1000, ge=1, description="Most user features a request may bring.")
    max_text: int = Field(
        1000, ge=64, description="Longest text in a request, in characters: a value, a name, an id."
    )
    max_exclude: int = Field(1000, ge=0, description="Most item ids a request may exclude.")
    max_filter: int = Field(
        200, ge=0, description="Most conditions and listed values of a filter, together."
    )
    max_body_bytes: int = Field(1_048_576, ge=1024, description="Largest request body.")
    drain_delay_s: float = Field(
        1.0,
        ge=0,
        le=DAY_S,
        description="Seconds after SIGTERM in which only /readyz says no: balancers notice, and "
        "callers who keep connections open are told to close them.",
    )
    drain_s: int = Field(10, ge=0, description="Seconds that open requests then get to finish.")
    recall_sample: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of lists that are searched for again, exactly, in the background.",
    )
    traces_url: str = Field(
        "",
        pattern=r"^(|https?://\S+)$",
        description="OpenTelemetry collector that takes OTLP over HTTP, as http://host:4318; empty "
        "means no traces.",
    )
    traces_share: float = Field(
        0.01, ge=0, le=1, description="Share of requests traced where the caller did not decide."
    )
    log_level: str = Field(
        "info",
        pattern="^(debug|info|warning|error)$",
        description="Least severe log line: debug, info, warning or error.",
    )
    log_format: str = Field(
        "text", pattern="^(text|json)$", description="Form of the log lines: text or json."
    )
    access_log: bool = Field(False, description="Write a log line for every request.")


def read_settings(**overrides: object) -> Settings:
    """Settings of the environment. Raises SettingsError naming the variable and its value."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]  # pydantic validates each value
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = variable(str(first["loc"][0])) if first["loc"] else PREFIX + "*"
        raise SettingsError(f"{name}: {first['msg']}, got {first['input']!r}") from None


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: most likely typing errors."""
    known = {variable(name) for name in Settings.model_fields} | OTHER_VARIABLES
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def describe_settings() -> list[tuple[str, str, str]]:
    """(variable, default, description) of every setting, in order of declaration."""
    defaults = Settings.model_construct()
    return [
        (variable(name), _shown(getattr(defaults, name)), str(field.description))
        for name, field in Settings.model_fields.items()
    ]


def _shown(default: object) -> str:
    text = default.get_secret_value() if isinstance(default, SecretStr) else str(default)
    return text.lower() if isinstance(default, bool) else text
