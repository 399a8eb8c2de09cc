"""M-Bus and wireless M-Bus: meters of EN 13757."""
