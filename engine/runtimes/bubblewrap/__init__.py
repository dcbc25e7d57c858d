"""bubblewrap: a sandbox of kernel namespaces on Linux, without an engine, an image or root."""
