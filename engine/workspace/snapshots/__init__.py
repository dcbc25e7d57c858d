"""Snapshots of a workspace: what is kept of one, so that it can be put back.

    table    what lay where           blobs    what the files held, by hash     info   a snapshot's header
    take     making one               restore  putting one back                 shelf  those of one workspace

As in the whole room: an agent may be at work in the workspace meanwhile, so every name is opened by
descriptors over no link, and what cannot be taken or put back is counted and said, never passed over.
"""
