"""Runs inside the container: a unix socket there, the run's SSH agent at the other end of a TCP connection.

Any Python 3, nothing but its library. /moat/ssh/endpoint says: host, port, token.
"""

import os
import socket
import socketserver
import threading

SOCKET = "/run/moat/ssh/agent.sock"

with open("/moat/ssh/endpoint") as file:
    HOST, PORT, TOKEN = file.read().split()


class Relay(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with socket.create_connection((HOST, int(PORT)), timeout=10) as agent:
            agent.settimeout(None)
            token = TOKEN.encode()
            agent.sendall(len(token).to_bytes(4, "big") + token)
            back = threading.Thread(target=carry, args=(agent, self.request), daemon=True)
            back.start()
            carry(self.request, agent)
            back.join(60)


def carry(source: socket.socket, sink: socket.socket) -> None:
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


if __name__ == "__main__":
    os.umask(0o077)
    Server(SOCKET, Relay).serve_forever()
