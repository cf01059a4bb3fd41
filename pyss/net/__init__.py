"""Sockets and time under one loop; nothing here knows Shadowsocks.

`Loop` waits on a `selectors` selector and calls the function that stands in `Channel.on_ready`.
`Listener`, `Dialer` and `Resolver` are the three ways a channel or an address comes into being.
"""
