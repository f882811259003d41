"""Where an MQTT broker is and who we are to it: the same for telemetry, images that come in and answers that go out."""

from __future__ import annotations

from dataclasses import dataclass

import paho.mqtt.client as mqtt

from contracts.access import BrokerAccess, secret


@dataclass(frozen=True)
class Address:
    """`ca_file` turns TLS on."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None
    ca_file: str | None = None

    @classmethod
    def of(cls, access: BrokerAccess) -> Address:
        """As the settings say. Raises ConfigurationError where the password cannot be read."""
        return cls(
            access.host,
            access.port,
            access.user,
            secret(access.password, access.password_file),
            None if access.ca_file is None else str(access.ca_file),
        )

    def introduce(self, client: mqtt.Client) -> None:
        """Tell a client, before it connects, who we are and whose certificates we believe."""
        if self.user is not None:
            client.username_pw_set(self.user, self.password)
        if self.ca_file is not None:
            client.tls_set(ca_certs=self.ca_file)
