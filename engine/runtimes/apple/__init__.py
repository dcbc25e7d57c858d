"""Apple containers: a virtual machine for each container, driven by Apple's `container` command line.

Shapes, options and messages are those of github.com/apple/container, docs/command-reference.md and sources,
releases 0.5 to 1.2. Its JSON has changed: before 1.0 a container's `status` is text and its networks lie
beside it, since then both are in an object `status`; addresses were `address` and `gateway` once.
"""
