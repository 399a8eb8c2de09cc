"""The demo's embedded broker: amqtt, a Python package. For a demonstration, not for production (see ARCHITECTURE.md)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig
from amqtt.plugins.base import BaseAuthPlugin
from amqtt.session import Session


class Welcome(BaseAuthPlugin):  # type: ignore[misc]
    """Lets everybody on this machine in, as somebody: amqtt keeps nothing for a session that it takes for anonymous."""

    async def authenticate(self, *, session: Session) -> bool:
        return True

    @dataclass
    class Config:
        """Nothing to choose."""


async def run_broker(port: int) -> None:
    """Serve MQTT 3.1.1 on the loopback until cancelled."""
    # It says a good deal at WARNING about clients that come and go, which a cut-off gateway does on purpose.
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.ERROR)
    config = BrokerConfig.from_dict(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}", "max_connections": 100}},
            "plugins": {"gatehouse.broker.Welcome": {}},
        }
    )
    broker = Broker(config)
    await broker.start()
    try:
        await asyncio.Event().wait()
    finally:
        await broker.shutdown()
