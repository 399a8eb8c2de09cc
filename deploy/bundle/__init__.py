"""The offline bundle: one file with everything that a machine without network needs beside Debian's Python."""
