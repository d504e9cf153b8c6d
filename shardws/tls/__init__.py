"""TLS without I/O: certificate stores, contexts, and an engine that turns records into plaintext.

Owns everything that uses OpenSSL (pyOpenSSL and cryptography). Only `files` reads the disk, and
only `ffi` uses private names of pyOpenSSL. Facts to have before reading: docs/topics/tls.md. Lower
modules first:

    files subjects jks suite_table     data in, data out
    containers chains stores           a store becomes (key, leaf, chain) entries
    protocols suites algorithms trust  settings become OpenSSL's terms
    facts ffi verification callback_state     what OpenSSL reports; the few private calls
    config contexts probe certificate_set         one configuration becomes immutable contexts
    clienthello records engine         one connection
"""
