#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kgdb_line.py DIR LOG PAWL [OPTION...]: gdb at the serial line of a guest that is in kgdb.

Starts `pawl run`, whose standard input and output are the guest's serial line; when the kernel says that it waits for a debugger,
gdb-multiarch gets the line, by a socket in DIR, and kgdb_gdb.py to do. What the guest wrote is in LOG. Waits for nothing but what the
guest and gdb say. Exits with 0 if gdb came to its end and the guest powered off.
"""
import os
import selectors
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
WAITS = b"aiting for connection from remote gdb"


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data):]


def start_gdb(path, listener):
    """gdb, and the line to it: None if it ended instead"""
    gdb = subprocess.Popen(["gdb-multiarch", "-q", "-nx", "-batch", "-x", os.path.join(HERE, "kgdb_gdb.py")], stdin=subprocess.DEVNULL,
                           env={**os.environ, "KGDB_LINE": path})
    listener.settimeout(1)
    while gdb.poll() is None:
        try:
            return gdb, listener.accept()[0]
        except socket.timeout:
            pass
    return gdb, None


def serve(guest, listener, path, log):
    """Until the guest is gone. The status."""
    serial, gdb, line, seen = guest.stdout.fileno(), None, None, b""
    with selectors.DefaultSelector() as sel:
        sel.register(serial, selectors.EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in sel.select()]
            if line in ready:
                data = line.recv(65536)
                if data:
                    write_all(guest.stdin.fileno(), data)
                else:
                    sel.unregister(line)
                    line.close()
                    line = None
                    if gdb.wait():
                        guest.kill()
            if serial not in ready:
                continue
            data = os.read(serial, 65536)
            log.write(data)
            log.flush()
            if not data:
                break
            if line:
                line.sendall(data)
            seen = (seen + data)[-4096:]
            if gdb is None and WAITS in seen:
                gdb, line = start_gdb(path, listener)
                if line is None:
                    guest.kill()
                else:
                    sel.register(line, selectors.EVENT_READ)
    if gdb is None:
        print("NOT OK the guest ended without waiting for a debugger")
        return 1
    if line:
        line.close()
    return gdb.wait() or guest.wait()


def main():
    folder, log_path, *command = sys.argv[1:]
    path = os.path.join(folder, "line")
    if os.path.exists(path):
        os.unlink(path)
    with open(log_path, "wb") as log, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as guest:
            return serve(guest, listener, path, log)


sys.exit(main())
