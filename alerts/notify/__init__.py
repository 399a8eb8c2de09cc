"""Notices leave the outbox through channels; a channel that hangs or fails delays nobody else's."""
