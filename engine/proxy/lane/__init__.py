"""The fast lane: HTTP/1.1 inside TLS inside a CONNECT tunnel, without mitmproxy's layers.

    link       one TCP connection, TLS or not, as plain bytes
    heads      which requests it takes, and what goes over the wire for them
    body       where a body ends
    relay      one admitted request and its response, streamed both ways
    ssh_tunnel what passes to an SSH server of a grant
    upstreams  the run's connections to its upstreams, kept and used again
    contexts   TLS contexts of the ssl module
    records    what observers get, off the request's own path
    session    one agent connection, from accept to close
    handover   from here to mitmproxy's layers

It takes what it knows for certain and hands everything else over, bytes read so far included. Every rule
(head, policy, injection, answers) is the one that mitmproxy's layers use too.
"""
