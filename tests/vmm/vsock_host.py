#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vsock_host.py PATH: the host's side of vsock_guest.c. Answers the guest's line; then sends 300,000 bytes to its port 1000 and
expects them back. Prints what happened."""
import os
import socket
import sys
import threading

path = sys.argv[1]
server = socket.socket(socket.AF_UNIX)
server.bind(path + '_5000')
server.listen()
guest, _ = server.accept()
print('guest says', guest.recv(100).decode(), end='', flush=True)
guest.send(b'from the host\n')
guest.recv(1)
client = socket.socket(socket.AF_UNIX)
client.connect(path)
client.send(b'CONNECT 1000\n')
line = b''
while not line.endswith(b'\n'):
    line += client.recv(1)
print(line.decode().split()[0], flush=True)
sent = os.urandom(300000)


def send():
    client.sendall(sent)
    client.shutdown(socket.SHUT_WR)


threading.Thread(target=send).start()
back = b''
while data := client.recv(1 << 16):
    back += data
print('echoed' if back == sent else f'{len(back)} bytes came back', flush=True)
