"""A web backend that pushes: POST /to/ID to one connection, /group/NAME to a group, / to all.

    shardws run examples.demo:server --local-port 9001
    python examples/push_from_backend.py 8080
    curl -d hello http://127.0.0.1:8080/to/134217729

The few lines of HTTP stand in for your framework: create the client once, when the backend starts,
and share it among all requests.
"""

import asyncio
import sys

from shardws import Outcome, control

STATUS = {Outcome.QUEUED: "200 OK", Outcome.GONE: "404 Not Found"}


async def push(client: control.Client, path: str, text: str) -> tuple[str, str]:
    """Send what was posted; return the status and body of the HTTP response."""
    kind, _, name = path.strip("/").partition("/")
    try:
        if kind == "to" and name.isdecimal():
            outcome = await client.send(int(name), text)
        elif kind == "group":
            outcome = await client.publish(name, text)
        else:
            outcome = await client.broadcast(text)
    except control.ControlError as error:  # no server runs, or it does not reply
        return "502 Bad Gateway", error.description
    return STATUS.get(outcome, "503 Service Unavailable"), outcome.name


async def main(port: int) -> None:
    async with control.connect(port=9001) as client:

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with asyncio.timeout(10):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                size = int(head.partition("content-length:")[2].split()[0])
                body = (await reader.readexactly(size)).decode()
                status, words = await push(client, head.split()[1], body)
                writer.write(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{words}\n".encode())
            writer.close()

        backend = await asyncio.start_server(answer, "127.0.0.1", port)
        print("listening on port", backend.sockets[0].getsockname()[1], flush=True)
        await backend.serve_forever()


asyncio.run(main(int(sys.argv[1])))
