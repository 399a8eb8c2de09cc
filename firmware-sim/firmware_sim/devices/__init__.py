"""Virtual devices on the other side of the gateway's wires, with codecs written from the documents alone."""
