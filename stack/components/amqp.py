"""Ask a broker for the greeting of AMQP 0-9-1, which needs no login."""

import socket
import struct

# rabbitmq.com/resources/specs/amqp0-9-1.pdf: the client begins with the protocol header (4.2.2),
# and the server answers with a frame (4.2.3) of the method Connection.Start, class 10, method 10.
HEADER = b"AMQP\0\0\x09\x01"
_FRAME = struct.Struct(">BHI")  # type, channel, size of what follows
_START = struct.pack(">HH", 10, 10)
_VERSION = b"\x07versionS"  # the name of a property, and the type of its value: a long text


def greeting(host: str, port: int, timeout: float) -> str:
    """Greet a broker, and return the version that its answer names; "" if it names none.

    Args:
        host: the broker's host.
        port: its port for AMQP without TLS.
        timeout: seconds for the connection, and for each part of the answer.

    Raises:
        OSError: no process accepts the connection, or it does not answer in time.
        ValueError: the answer is not that of AMQP 0-9-1.
    """
    with socket.create_connection((host, port), timeout) as connection:
        connection.sendall(HEADER)
        with connection.makefile("rb") as answer:
            head = answer.read(_FRAME.size)
            if len(head) < _FRAME.size or head[:3] != b"\x01\0\0":
                raise ValueError("it does not speak AMQP 0-9-1")
            _, _, size = _FRAME.unpack(head)
            payload = answer.read(min(size, 65536))
    if not payload.startswith(_START):
        raise ValueError("it does not speak AMQP 0-9-1")
    _, _, value = payload.partition(_VERSION)
    return value[4 : 4 + int.from_bytes(value[:4], "big")].decode(errors="replace")
