"""What Docker Compose takes of a file like ours: keys, kinds and values, in our own words.

Read from the Compose specification, of which only what compose.yaml uses is here: a key that is not
is refused, as misspelt or as one to be added with a look at the specification. Without the client
of Docker this is what reads the file; it does not replace the variables in it.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Duration = Annotated[str, Field(pattern=r"^(\d+(us|ms|s|m|h))+$")]
Size = Annotated[str, Field(pattern=r"^\d+(b|k|m|g|kb|mb|gb)$")]
Place = Annotated[str, Field(pattern=r"^[\w-]+:/[\w/.-]+(:ro)?$")]  # a named volume, where to
Absolute = Annotated[str, Field(pattern=r"^/[\w/.-]+(:\w+=\w+(,\w+=\w+)*)?$")]
Published = Annotated[
    str, Field(pattern=r"^127\.0\.0\.1:(\d+|\$\{\w+:-\d+\}):\d+$")  # to this machine alone
]
User = Annotated[str, Field(pattern=r"^[1-9]\d*:[1-9]\d*$")]  # numbered, and not root
Words = Annotated[list[str], Field(min_length=1)]
Environment = dict[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")], str | None]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Build(Part):
    context: str
    target: str
    args: dict[str, str]


class Logging(Part):
    driver: str
    options: dict[str, str]


class Healthcheck(Part):
    test: Words
    interval: Duration
    timeout: Duration
    retries: int = Field(gt=0)
    start_period: Duration

    @model_validator(mode="after")
    def _is_a_program_with_arguments(self) -> "Healthcheck":
        if self.test[0] != "CMD" or len(self.test) == 1:
            raise ValueError("test: expected CMD and a program")
        return self


class Dependency(Part):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"]


class Service(Part):
    image: Annotated[str, Field(pattern=r"^[\w./-]+:[\w.-]+(@sha256:[0-9a-f]{64})?$")]
    build: Build | None = None
    user: User
    command: Words
    environment: Environment
    restart: Annotated[str, Field(pattern=r"^(no|always|unless-stopped|on-failure(:\d+)?)$")]
    init: bool
    read_only: Literal[True]
    cap_drop: Words
    security_opt: Words
    logging: Logging
    tmpfs: list[Absolute]
    volumes: list[Place]
    networks: Words
    ports: list[Published] = []
    shm_size: Size | None = None
    stop_grace_period: Duration | None = None
    healthcheck: Healthcheck | None = None
    depends_on: dict[str, Dependency] = {}


class Network(Part):
    internal: bool = False


class Volume(Part):
    """As Compose makes them by itself."""


class File(Part):
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    services: dict[str, Service]
    networks: dict[str, Network]
    volumes: dict[str, Volume]

    @model_validator(mode="before")
    @classmethod
    def _without_extensions(cls, said: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in said.items() if not key.startswith("x-")}

    @model_validator(mode="after")
    def _names_what_is_there(self) -> "File":
        used = [service.volumes for service in self.services.values()]
        volumes = {place.partition(":")[0] for places in used for place in places}
        if volumes != set(self.volumes):
            raise ValueError(f"volumes: used {sorted(volumes)}, declared {sorted(self.volumes)}")
        networks = {name for service in self.services.values() for name in service.networks}
        if networks != set(self.networks):
            raise ValueError(f"networks: used {sorted(networks)}, declared {sorted(self.networks)}")
        for name in self.services:
            self._waits_for(name, ())
        return self

    def _waits_for(self, name: str, waiting: tuple[str, ...]) -> None:
        """Follow what a service waits for to its end."""
        if name in waiting:
            raise ValueError(f"depends_on: {' -> '.join((*waiting, name))} never starts")
        for other, how in self.services[name].depends_on.items():
            if other not in self.services:
                raise ValueError(f"depends_on: {name} waits for {other}, which is no service")
            if how.condition == "service_healthy" and self.services[other].healthcheck is None:
                raise ValueError(f"depends_on: {other} has no healthcheck, and is never healthy")
            self._waits_for(other, (*waiting, name))
