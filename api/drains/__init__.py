"""A network of drains as it stands, what explains what in it, its storms, and the cleaning of its pipes."""
