"""Publishing over MQTT for notices and live values: paho, one connection, kept up in the background."""

from __future__ import annotations

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from telemetry.errors import Unavailable
from telemetry.settings import BrokerSettings
from telemetry.tls import Renewing

_PUBLISH_TIMEOUT_S = 5.0


class Publisher:
    """Hands messages to the broker and says when it has them."""

    def __init__(self, settings: BrokerSettings, client_id: str) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv311)
        if settings.username is not None:
            password = settings.password.get_secret_value() if settings.password else None
            self._client.username_pw_set(settings.username, password)
        self._client.reconnect_delay_set(1, max(1, int(settings.reconnect_delay_max_s)))
        if settings.tls is not None:
            renewing = Renewing(settings.tls, client_id)
            self._client.tls_set_context(renewing.context)
            self._client.on_pre_connect = renewing.renew
        self._client.connect_async(settings.host, settings.port, settings.keep_alive_s)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes, retained: bool) -> None:
        """Returns once the broker has acknowledged. Raises Unavailable."""
        # Never queued in paho: what waits, waits in the outbox, which survives a crash.
        if not self._client.is_connected():
            raise Unavailable("no connection to the broker")
        sent = self._client.publish(topic, payload, qos=1, retain=retained)
        try:
            sent.wait_for_publish(_PUBLISH_TIMEOUT_S)
        except (RuntimeError, ValueError) as error:
            raise Unavailable(f"the broker is away: {error}") from error
        if not sent.is_published():
            raise Unavailable(f"the broker did not acknowledge within {_PUBLISH_TIMEOUT_S:.0f} s")

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
