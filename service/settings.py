"""Settings of an operator, read once from the environment: each is a variable `TET_<NAME>`.

The variable's name is `TET_` and the field's name in capitals: `api_port` is `TET_API_PORT`. An empty variable counts
as unset, so that a compose file can pass on a variable that may not exist. No other module of the service reads these
variables; only `tet_core` reads `TET_DATA` too.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from service.errors import TetError
from service.web_address import host_and_port

PREFIX = "TET_"

_PORTS = ("api_port", "mlflow_port", "ray_dashboard_port", "ray_gcs_port", "ray_client_port", "ray_agent_port")


class SettingsInvalid(TetError, ValueError):  # noqa: N818 - the name says what is wrong
    """The error of settings that cannot be used; the message has one line for each: variable, value, problem."""


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))


def _http_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("is not a URL: it starts with neither http:// nor https://")
    return url.rstrip("/")


def _database_url(url: str) -> str:
    """Return the URL as SQLAlchemy needs it: psycopg 3 for PostgreSQL, an absolute path for SQLite."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        return f"postgresql+psycopg://{rest}"
    if separator and scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return f"sqlite:///{_absolute(Path(rest[1:]))}"
    raise ValueError("is neither sqlite:///PATH nor postgresql://USER:PASSWORD@HOST:PORT/NAME")


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part for part in (item.strip() for item in value.split(",")) if part)
    return value


def _host(text: str) -> str:
    host_and_port(text)  # raises ValueError
    return text


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseModel):
    """The settings of one stack. Two stacks can run side by side if their homes and ports differ."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    home: AbsolutePath = Field(
        Path(".tet"), description="Folder of the stack's state, logs and keys; only its user can read it."
    )
    storage: AbsolutePath = Field(
        description="Folder of checkpoints and journals, shared by all nodes and the API. [`$TET_HOME/storage`]"
    )
    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        repr=False, description="SQLite, or `postgresql://USER:PASSWORD@HOST:PORT/NAME`. [`sqlite:///$TET_HOME/tet.db`]"
    )
    api_host: str = Field("127.0.0.1", min_length=1, description="Address that the API listens on.")
    api_port: Port = Field(8000, description="Port of the API.")
    mlflow_port: Port = Field(5000, description="Port of the local MLflow.")
    mlflow_url: HttpUrl = Field(
        description="Address of MLflow for the service; if it is not local, `tet up` starts no MLflow. [the local one]"
    )
    mlflow_public_url: HttpUrl = Field(description="Address of MLflow for people, in links. [`$TET_MLFLOW_URL`]")
    ray_dashboard_port: Port = Field(8265, description="Port of the local Ray's dashboard and Jobs API.")
    ray_url: HttpUrl = Field(
        description="Address of Ray's dashboard and Jobs API for the service; if it is not local, `tet up` starts "
        "no Ray. [the local one]"
    )
    ray_public_url: HttpUrl = Field(description="Address of Ray's dashboard for people, in links. [`$TET_RAY_URL`]")
    ray_gcs_port: Port = Field(6379, description="Port of the local Ray's head, for its nodes.")
    ray_client_port: Port = Field(10001, description="Port of the local Ray's client server.")
    ray_agent_port: Port = Field(52365, description="Port of the local Ray's dashboard agent.")
    num_cpus: int | None = Field(None, ge=0, description="CPUs that the local Ray head offers. [all]")
    num_gpus: int | None = Field(None, ge=0, description="GPUs that the local Ray head offers. [all]")
    ray_token_file: AbsolutePath = Field(description="File of Ray's token, mode 600. [`$TET_HOME/ray.token`]")
    allowed_hosts: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        (), description="Host names that the API answers to besides loopback, separated by commas."
    )
    data: AbsolutePath | None = Field(None, description="Folder of the data sets that are not part of a package.")
    reconcile_interval_s: float = Field(
        0.5,
        gt=0,
        le=3600,
        description="Time, s, between two rounds of the reconciler.",
    )
    max_body_bytes: int = Field(1_048_576, ge=1024, description="Largest size of a request body, such as a spec.")
    max_chains: int = Field(
        10_000,
        ge=1,
        le=100_000,
        description="Largest number of chains (arms times configurations times seeds) of a new experiment.",
    )
    max_stages: int = Field(
        20_000, ge=1, le=10_000_000, description="Largest number of stages of a new experiment, over all chains."
    )
    max_configured_stages: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Largest number of stages to resolve when a new experiment is planned: those of each arm, times "
        "the configurations of the arm.",
    )
    max_bytes_of_bodies: int = Field(
        16_777_216,
        ge=1024,
        description="Largest size of all request bodies that the API holds at once; more are refused with 429.",
    )
    max_connections: int = Field(
        512,
        ge=16,
        le=100_000,
        description="How many connections the API keeps open; if there are more, it closes some, first those without a "
        "complete request.",
    )
    max_requests: int = Field(
        128, ge=1, le=10_000, description="How many requests the API answers at once; more are refused with 429."
    )
    max_streams: int = Field(
        256, ge=1, le=50_000, description="How many streams of events may be open; more are refused with 429."
    )
    max_streams_per_experiment: int = Field(
        128, ge=1, le=50_000, description="How many streams of events of one experiment may be open."
    )
    request_timeout_s: float = Field(
        8, ge=1, le=3600, description="Time, s, that a client has to send a request, with its body."
    )
    idle_timeout_s: float = Field(
        5,
        ge=1,
        le=3600,
        description="Time, s, that a client may send nothing of a request or read nothing of an answer; then its "
        "connection ends.",
    )
    checkers: int | None = Field(
        None,
        ge=1,
        le=64,
        description="How many processes check large documents for the API. [half of the CPUs, at most 4]",
    )
    stop_window_s: float = Field(
        60,
        ge=0,
        le=86_400,
        description="Time, s, that trials have to end their epoch after a pause or a cancellation.",
    )
    max_running: int = Field(1, ge=1, description="How many experiments may run at once; the others wait in the queue.")
    max_running_per_owner: int | None = Field(
        None, ge=1, description="How many experiments of one owner may run at once. [no such limit]"
    )
    priority_aging_s: float = Field(
        3600,
        gt=0,
        description="Time in the queue, s, that raises an experiment's priority by one, so that none waits forever.",
    )
    min_free_bytes: int = Field(
        268_435_456,
        ge=0,
        description="Free space on the storage below which running experiments are paused until there is more.",
    )
    max_driver_deaths: int = Field(
        5,
        ge=0,
        le=1_000,
        description="How many drivers in a row may be lost without a committed epoch before the experiment fails.",
    )
    tracking_patience_s: float = Field(
        300,
        ge=0,
        description="How long, s, MLflow may refuse all requests before the experiment fails; "
        "its training still runs to the end.",
    )
    restart_limit: int = Field(
        10,
        ge=0,
        description="How often a component of the local stack is restarted within the window before it is left down.",
    )
    restart_window_s: float = Field(600, gt=0, description="The window of `TET_RESTART_LIMIT`, s.")
    hang_s: float = Field(
        120, ge=10, description="Time, s, without an answer after which a component of the local stack is restarted."
    )
    log_bytes: int = Field(
        10_485_760,
        ge=4096,
        description="Size of a component's log at which the supervisor starts a new log; it keeps the previous one.",
    )
    webhook_hosts: Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], BeforeValidator(_split)] = Field(
        (), description="Hosts (`host` or `host:port`) to which webhooks may go, separated by commas."
    )
    webhook_secret_file: AbsolutePath = Field(
        description="File of the key that signs webhooks; created when it is first needed. [`$TET_HOME/webhook.secret`]"
    )

    @classmethod
    def from_environment(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read the settings from `env` (this process's environment if None).

        Raises:
            SettingsInvalid: a value cannot be used; the message names each variable.
        """
        env = os.environ if env is None else env
        values = {name: env[variable(name)] for name in cls.model_fields if env.get(variable(name), "").strip()}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            # A value derived from a faulty one is faulty too: only settings that were set are reported.
            problems = [_problem(dict(item)) for item in error.errors() if not item["loc"] or item["loc"][0] in values]
            raise SettingsInvalid("\n".join(problems)) from None

    @model_validator(mode="before")
    @classmethod
    def _fill_derived(cls, values: Any) -> Any:
        """Fill in the defaults that depend on another setting."""
        filled = dict(values)
        home = _absolute(Path(filled.get("home", ".tet")))
        filled.setdefault("storage", home / "storage")
        filled.setdefault("database_url", f"sqlite:///{home / 'tet.db'}")
        filled.setdefault("ray_token_file", home / "ray.token")
        filled.setdefault("webhook_secret_file", home / "webhook.secret")
        filled.setdefault("mlflow_url", f"http://127.0.0.1:{filled.get('mlflow_port', 5000)}")
        filled.setdefault("mlflow_public_url", filled["mlflow_url"])
        filled.setdefault("ray_url", f"http://127.0.0.1:{filled.get('ray_dashboard_port', 8265)}")
        filled.setdefault("ray_public_url", filled["ray_url"])
        return filled

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        names_by_port: dict[int, str] = {}
        for name in _PORTS:
            port = getattr(self, name)
            if port in names_by_port:
                raise ValueError(
                    f"{variable(names_by_port[port])} and {variable(name)} are both {port}: each needs its own port"
                )
            names_by_port[port] = name
        return self

    @model_validator(mode="after")
    def _connections_suffice(self) -> Self:
        needed = self.max_requests + self.max_streams
        if self.max_connections <= needed:
            raise ValueError(
                f"{variable('max_connections')}={self.max_connections}: must be larger than "
                f"{variable('max_requests')} + {variable('max_streams')} = {needed}, since each takes a connection"
            )
        return self

    @property
    def api_url(self) -> str:
        """The address of the API for clients on this machine."""
        host = "127.0.0.1" if self.api_host in ("0.0.0.0", "::", "") else self.api_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.api_port}"

    def environment(self) -> dict[str, str]:
        """Return the variables with which a child process reads the same settings, wherever it runs."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {variable(name): _text(value) for name, value in values.items() if value not in (None, ())}

    def ray_environment(self) -> dict[str, str]:
        """Return the variables that make Ray, as a server or as a client, use our token."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.ray_token_file)}


def variable(name: str) -> str:
    """Return the environment variable of the setting `name`."""
    return PREFIX + name.upper()


def _text(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _problem(error: dict[str, Any]) -> str:
    """Return one readable line for one of pydantic's errors."""
    # Our validators raise ValueError. Pydantic keeps the error, but puts other words before its message.
    message = str(error.get("ctx", {}).get("error", error["msg"]))
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    if name == "database_url":  # it may hold a password
        return f"{variable(name)} {message}"
    return f"{variable(name)}={error['input']!s}: {message}"
