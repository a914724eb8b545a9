#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""net_server.py FILE FORWARDED PORTFILE: the host's side of the network test, on the loopback interface only. Writes its port
to PORTFILE. A line "file" is answered by FILE; "forward" by what the guest says at the forwarded port; "count" counts the
bytes that follow."""
import os
import socket
import sys

path, forwarded, port_file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
server = socket.socket()
server.bind(('127.0.0.1', 0))
server.listen()
with open(port_file + '.new', 'w') as f:
    f.write(str(server.getsockname()[1]))
os.rename(port_file + '.new', port_file)
while True:
    client, _ = server.accept()
    stream = client.makefile('rwb')
    line = stream.readline().strip()
    try:
        if line == b'file':
            stream.write(open(path, 'rb').read())
        elif line == b'count':
            n = 0
            while data := stream.read1(1 << 16):
                n += len(data)
            print('counted', n, flush=True)
        elif line == b'forward':
            with socket.create_connection(('127.0.0.1', forwarded)) as guest:
                stream.write(guest.makefile('rb').read())
        stream.close()
        client.close()
    except OSError as e:
        print(line, e, flush=True)
