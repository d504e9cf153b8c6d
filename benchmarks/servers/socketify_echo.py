"""socketify, which is uWebSockets: echo; a text message that begins with * is sent to all.

python socketify_echo.py PORT [CERTIFICATE KEY]
"""

import sys

from socketify import App, AppListenOptions, AppOptions, CompressOptions, WebSocket

EVERYBODY = "everybody"
MESSAGE_LIMIT = 16 * 1024 * 1024


def main(port: int, *files: str) -> None:
    options = AppOptions(cert_file_name=files[0], key_file_name=files[1]) if files else None
    app = App(options)

    def on_open(ws: WebSocket) -> None:
        ws.subscribe(EVERYBODY)

    def on_message(ws: WebSocket, message: str | bytes, opcode: int) -> None:
        if isinstance(message, str) and message[:1] == "*":
            app.publish(EVERYBODY, message, opcode)
        else:
            ws.send(message, opcode)

    behaviour = {
        "compression": CompressOptions.DISABLED,
        "max_payload_length": MESSAGE_LIMIT,
        "max_backpressure": MESSAGE_LIMIT,
        "idle_timeout": 0,
        "open": on_open,
        "message": on_message,
    }
    app.ws("/", behaviour)
    app.listen(AppListenOptions(port=port, host="127.0.0.1"), lambda config: None)
    app.run()


main(int(sys.argv[1]), *sys.argv[2:])
