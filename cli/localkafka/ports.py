"""Free TCP ports on the loopback address."""

import random
import socket

CHOICE = range(16_384, 32_768)
"""Below those that Linux gives to outgoing connections: such a one could take a port before a server does."""


def free_ports(count: int) -> list[int]:
    """Different ports that were free a moment ago; a caller tries again when one was taken.

    Errors: `OSError`, where there are not so many.
    """
    taken: list[socket.socket] = []
    try:
        for port in random.sample(CHOICE, len(CHOICE)):
            if len(taken) == count:
                return [int(one.getsockname()[1]) for one in taken]
            one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            taken.append(one)
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                taken.pop().close()
        raise OSError(f"there are no {count} free ports")
    finally:
        for one in taken:
            one.close()


def is_free(port: int) -> bool:
    """Whether a server could listen there now, and nobody answers there already.

    Asking is not enough on BSD systems, where 127.0.0.1 can be had beside a server on all
    addresses.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
        if caller.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
