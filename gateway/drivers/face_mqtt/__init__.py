"""Face terminals that publish mqtt/face/…: records of who passed, with a temperature where they have a sensor."""
