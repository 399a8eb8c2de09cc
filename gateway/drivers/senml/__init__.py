"""SenML over MQTT, in JSON or CBOR."""
