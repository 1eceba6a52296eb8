"""The settings of the operator: DURAFLEET_* variables, which the chart sets from its values."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from durafleet.core.leading.sharding import Shard
from durafleet.core.runs.callbacks import CallbackAddress
from durafleet.errors import ConfigurationError


class Settings(BaseSettings):
    """All settings. Lists are comma-separated."""

    model_config = SettingsConfigDict(env_prefix="DURAFLEET_", frozen=True, hide_input_in_errors=True)

    temporal_address: str | None = Field(
        default=None,
        pattern=r"^.+:[0-9]{1,5}$",
        description="host:port of the default connection. If unset, there is no default connection.",
    )
    temporal_namespace: str = Field(
        default="default", min_length=1, description="Temporal namespace of the default connection."
    )
    worker_image: str | None = Field(default=None, description="Image of AgentWorkers without spec.image.")
    worker_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    worker_image_pull_secrets: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Image pull secrets of all workers."
    )
    watch_namespaces: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Namespaces to watch. Defaults to all."
    )
    shard: Annotated[Shard, NoDecode] = Field(
        default=Shard(),
        description="index/count: the part of these namespaces that is this operator's. Defaults to all.",
    )
    lease_name: str | None = Field(
        default=None, description="Lease for leader election. If unset, there is none, and the operator always leads."
    )
    lease_namespace: str | None = Field(default=None, validate_default=True, description="Namespace of that Lease.")
    callback_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s#]*)?$",
        description="URL at which Temporal reaches /callbacks/completed of this operator. If unset, callbacks are off.",
    )
    callback_secret: SecretStr | None = Field(
        default=None, validate_default=True, min_length=16, description="Secret that signs the callbacks."
    )
    callback_port: int = Field(
        default=8081, ge=1, le=65535, description="Port for callbacks, open while the operator leads."
    )
    http_port: int = Field(default=8080, ge=0, le=65535, description="Port of /livez, /readyz and /metrics.")
    http_host: str = "0.0.0.0"  # noqa: S104 - a pod's probes come from outside it
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "plain"] = "json"
    concurrency: int = Field(default=16, ge=1, le=512, description="Maximum AgentRuns reconciled at the same time.")

    @field_validator("worker_image_pull_secrets", "watch_namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("shard", mode="before")
    @classmethod
    def _read_shard(cls, value: object) -> object:
        return Shard.parse(value) if isinstance(value, str) else value

    @field_validator(
        "temporal_address",
        "worker_image",
        "worker_image_pull_policy",
        "lease_name",
        "lease_namespace",
        "callback_url",
        "callback_secret",
        mode="before",
    )
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("lease_namespace")
    @classmethod
    def _lease_is_somewhere(cls, value: str | None, others: ValidationInfo) -> str | None:
        if value is None and others.data.get("lease_name"):
            raise ValueError("must be set with DURAFLEET_LEASE_NAME")
        return value

    @field_validator("callback_secret")
    @classmethod
    def _callbacks_are_signed(cls, value: SecretStr | None, others: ValidationInfo) -> SecretStr | None:
        if value is None and others.data.get("callback_url"):
            raise ValueError("must be set with DURAFLEET_CALLBACK_URL")
        return value

    @property
    def callbacks(self) -> CallbackAddress | None:
        """The address for callbacks; None if there are none."""
        if self.callback_url is None or self.callback_secret is None:
            return None
        return CallbackAddress(self.callback_url, self.callback_secret.get_secret_value())


def load_settings() -> Settings:
    """Read the environment.

    Raises:
        ConfigurationError: names each invalid variable and what is wrong with it.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [f"DURAFLEET_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()]
        raise ConfigurationError("; ".join(lines)) from error
