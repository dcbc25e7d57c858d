"""The anchors room: what parties outside this machine say of the installation's log, so that nobody here can
take it back.

    head, kept, push      what is anchored, what each place said last, bringing it there
    directory, git        a directory, a git remote
    cosignature, witness  the C2SP witness protocol, pure; witness_state and witness_server are a witness,
                          http_witness asks one
    timestamp, rekor      RFC 3161 authorities, Sigstore's public log
    places                from config.yaml to all of these
    evidence              anchors in a proof bundle
    service, background   for the faces and for runs
"""
