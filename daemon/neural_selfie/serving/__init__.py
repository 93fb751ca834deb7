"""The live page: `neural-selfie serve` shows the gallery over HTTP, with progress, picks and wishes at once.

Runs beside the daemon, as the same user, and loads neither torch nor a decoder. It never paints, and changes nothing in
the outbox: picks and wishes are handed to the daemon by way of the state folder and the ledger.

Guarantees: nothing but pictures, records and the page's own data of the outbox is handed out, no link is followed;
only pages of this server can change anything; from another machine nobody sees anything without the token.
Does not guarantee secrecy on the way: there is no TLS here. Put a proxy in front of it where others listen.
"""
