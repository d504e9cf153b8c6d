"""TLS without I/O: certificate stores, contexts, and an engine that turns records into plaintext.

Owns everything that touches OpenSSL (pyOpenSSL and cryptography); knows no socket, loop or clock.
Only `files` reads the disk, and only `ffi` uses names that pyOpenSSL does not publish.
Facts to have before reading: docs/topics/tls.md. Lower rooms first:

    files subjects jks suite_table     data in, data out
    containers chains stores           a store becomes (key, leaf, chain) entries
    protocols suites algorithms trust  settings become OpenSSL's words
    facts ffi verification state     what OpenSSL tells; the few unpublished calls
    config contexts probe site         one configuration becomes immutable contexts
    clienthello records engine         one connection
"""
