"""Hostile uploads to `pawprint serve`: what it answers, whether it lives on, what it writes.

    python benchmarks/hostile.py

A network that was not trained answers. Uploads of every kind are drawn with a seed: truncated and
damaged pictures, decompression bombs, files of other types, names that are paths or scripts, huge
and broken heads, forms and JSON that are none, requests of which half comes, bodies of 300,000
chunks of a byte each. Eight clients send them at once, while another one asks about a good picture
again and again.

Each must get a 4xx with one sentence (a damaged picture may also be answered: it may still be one),
none a 5xx, the good picture its answer every time, and nothing may be written to disk.

EXPECTED for 1,000: 4xx for all but some damaged pictures; no 5xx, no bad answer to the good one,
nothing written. The good picture waits for less than a second where four requests of such chunks
come at once.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tables
from PIL import Image
from project import HERE

PATIENCE = 60
MARK = b"mark"
FORM = f"multipart/form-data; boundary={MARK.decode()}"
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "ICO", "PPM")
NAMES = (
    "../../../../etc/passwd",
    "/dev/null",
    "C:\\windows\\system32\\a.jpg",
    "a\0.jpg",
    "~root",
    "<script>alert(1)</script>.png",
    "<img src=x onerror=alert(1)>.png",
    "a\r\nX: b",
    "'; --",
    "$(reboot).jpg",
    "{{7*7}}.jpg",
    "%s%s%n.jpg",
    "a\u202egpj.exe",
    "x" * 5000,
    "\ud83d",
    " ",
)
OTHER_TYPES = (
    b"%PDF-1.7\n",
    b"PK\x03\x04",
    b"MZ\x90\x00",
    b"\x7fELF",
    b"<html><script>",
    b"#!/bin/sh\n",
    b"<svg xmlns='http://www.w3.org/2000/svg'>",
    b"%!PS-Adobe EPSF\n",
    b"GIF89a",
    b"RIFF",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"BM",
    b"II*\x00",
    b"\0\0\0\x18ftypheic",
    b"{}",
)


def main() -> None:
    """Send them, and print what was answered to which kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    kinds = [list(KINDS)[place % len(KINDS)] for place in range(given.uploads)]
    sent = [(kind, KINDS[kind](rng)) for kind in kinds]
    rng.shuffle(sent)
    with tempfile.TemporaryDirectory() as name, _server(Path(name)) as (where, process, empty):
        good = _picture(random.Random(0), "JPEG")
        before, first = _written(process), _megabytes(process)
        waited = _waited_beside_chunks(where, good)
        stop, bad = threading.Event(), []
        watcher = threading.Thread(target=_ask_on, args=(where, good, stop, bad))
        watcher.start()
        begin = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda one: _say(where, one[1]), sent))
        seconds = time.monotonic() - begin
        stop.set()
        watcher.join()
        written = _written(process) - before if process.poll() is None else -1
        files = [path for folder in empty for path in folder.rglob("*")]
        alive = process.poll() is None
        last = _megabytes(process) if alive else 0
    wrong = _print(sent, answers)
    print(
        f"\n{len(sent)} uploads in {seconds:.0f} s; bad answers to the good picture: {len(bad)}; "
        f"server alive: {alive}; files written: {len(files)}; bytes written: {written}; "
        f"MB at start and end: {first:.0f}, {last:.0f}; the good picture beside four requests of "
        f"{CHUNKS:,} chunks took {waited:.2f} s"
    )
    if wrong or bad or files or written or not alive or waited > 1:
        raise SystemExit(f"not as it must be: {wrong[:5]} {bad[:5]} {files[:5]}")


def _print(sent: list[tuple[str, list[bytes]]], answers: list[tuple[int, str]]) -> list[str]:
    """A row per kind; returns what must not be."""
    by_kind: dict[str, Counter[int]] = defaultdict(Counter)
    sentences: dict[str, str] = {}
    wrong = []
    for (kind, _), (status, sentence) in zip(sent, answers, strict=True):
        by_kind[kind][status] += 1
        sentences[kind] = sentence
        fine = 400 <= status < 500 and sentence and "\n" not in sentence
        left = status == -1 and kind == "leaves in the middle"
        if not (fine or left or (status == 200 and kind == "damaged")):
            wrong.append(f"{kind}: {status} {sentence}")
    tables.head("kind", "answers", "a sentence")
    for kind, counts in by_kind.items():
        shown = ", ".join(f"{n} × {s if s > 0 else 'left'}" for s, n in sorted(counts.items()))
        tables.row(kind, shown, sentences[kind].encode("ascii", "replace").decode()[:90])
    return wrong


# What is sent


def _picture(rng: random.Random, form: str | None = None) -> bytes:
    size = rng.randint(16, 300), rng.randint(16, 300)
    noise = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (*size, 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(noise).save(content, form or rng.choice(FORMATS))
    return content.getvalue()


def _form(content: bytes, name: bytes = b"a.jpg") -> bytes:
    head = b'--%s\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n'
    return head % (MARK, name) + content + b"\r\n--%s--\r\n" % MARK


def _request(body: bytes, kind: str = FORM, length: int | str | None = None) -> list[bytes]:
    size = len(body) if length is None else length
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Type: {kind}\r\nContent-Length: {size}"
    return [head.encode() + b"\r\n\r\n", body]


def _truncated(rng: random.Random) -> list[bytes]:
    content = _picture(rng, rng.choice(("JPEG", "PNG", "WEBP", "GIF", "BMP")))
    return _request(_form(content[: rng.randint(1, len(content) // 2)]))


def _damaged(rng: random.Random) -> list[bytes]:
    content = bytearray(_picture(rng))
    for _ in range(rng.randint(1, 200)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return _request(_form(bytes(content)))


def _bomb(rng: random.Random) -> list[bytes]:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    side = rng.choice((8_000, 30_000, 100_000, 2**31 - 1))
    size = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = [packer.compress(bytes(1 + min(side, 10**5) // 8)) for _ in range(min(side, 20_000))]
    pixels = b"".join(rows) + packer.flush()
    content = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    return _request(_form(content))


def _many_scans(rng: random.Random) -> list[bytes]:
    content = io.BytesIO()
    Image.open(io.BytesIO(_picture(rng, "PNG"))).save(content, "JPEG", progressive=True)
    plain = content.getvalue()
    scan = plain[plain.rindex(b"\xff\xda") : -2]
    return _request(_form(plain[:-2] + scan * 1000 + plain[-2:]))


def _other_type(rng: random.Random) -> list[bytes]:
    return _request(_form(rng.choice(OTHER_TYPES) + rng.randbytes(rng.randint(0, 5000))))


def _odd_name(rng: random.Random) -> list[bytes]:
    name = rng.choice(NAMES).encode("utf-8", "surrogatepass")
    return _request(_form(b"no picture", name))


def _large(rng: random.Random) -> list[bytes]:
    if rng.random() < 0.5:
        return _request(b"", length=rng.choice((10**9, 10**15, "9" * 40, -1, "0x10", "1, 2")))
    return _request(_form(_picture(rng, "JPEG") + bytes(21 * 2**20)))


def _huge_head(rng: random.Random) -> list[bytes]:
    more = rng.choice(
        (
            b"X: " + b"a" * 10**6,
            b"X: a\r\n" * 10**5,
            b"X" * 10**6 + b": a",
            b"Cookie: " + b";" * 10**6,
        )
    )
    return [b"POST /predict HTTP/1.1\r\nHost: localhost\r\n" + more + b"\r\n\r\n"]


def _no_http(rng: random.Random) -> list[bytes]:
    begin = rng.choice((b"\x16\x03\x01", b"GET / HTTP/9.9\r\n", b"POST\r\n", b"\0" * 8, b"SSH-2.0"))
    return [begin + rng.randbytes(rng.randint(50, 500)) + b"\r\n\r\n"]


def _bad_form(rng: random.Random) -> list[bytes]:
    whole = _form(_picture(rng, "JPEG"))
    body, kind = rng.choice(
        (
            (b"", FORM),
            (whole[: rng.randint(1, len(whole) - 20)], FORM),
            (whole, "multipart/form-data"),
            (whole, "multipart/form-data; boundary=" + "x" * 300),
            (whole.replace(MARK, b"other"), FORM),
            (rng.randbytes(1000), FORM),
            (b"--mark\r\n" + b"A: b\r\n" * 1000 + b"\r\nx\r\n--mark--", FORM),
            (b"--mark\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n" * 3000, FORM),
            (whole, rng.choice(("image/jpeg", "text/html", "", "a/b; c", "\x7f"))),
        )
    )
    return _request(body, kind)


def _bad_json(rng: random.Random) -> list[bytes]:
    body = rng.choice(
        (
            b"[" * 10**6,
            b'{"pictures": ' * 10**5,
            b"9" * 10**6,
            b'{"pictures": ["%s"]}' % rng.randbytes(50).hex().encode() * 2,
            b'{"pictures": [1, null, {}]}',
            b'{"pictures": ["%s"]}' % base64.b64encode(rng.randbytes(1000)),
            b'{"pictures": ["data:text/html;base64,PHNjcmlwdD4="]}',
            b'{"pictures": [%s]}' % b",".join([b'""'] * 10**5),
            json.dumps({"pictures": ["\ud800", "\0"]}).encode(),
            b"\xef\xbb\xbf\xff\xfe",
        )
    )
    return _request(body, "application/json")


def _half_head(rng: random.Random) -> list[bytes]:
    (head, _) = _request(b"")
    return [head[: rng.randint(1, len(head) - 5)], HALF_CLOSE]


def _half_body(rng: random.Random) -> list[bytes]:
    head, body = _request(_form(_picture(rng, "JPEG")))
    return [head, body[: rng.randint(0, len(body) - 1)], HALF_CLOSE]


def _silent(rng: random.Random) -> list[bytes]:
    head, body = _request(_form(_picture(rng, "JPEG")))
    return [head, body[: rng.randint(0, len(body) - 1)]]


def _leaves(rng: random.Random) -> list[bytes]:
    return [*_half_body(rng)[:2], LEAVE]


def _bad_chunks(rng: random.Random) -> list[bytes]:
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\n"
    head += f"Content-Type: {FORM}\r\nTransfer-Encoding: "
    coding = rng.choice(("chunked", "chunked, chunked", "gzip, chunked", "identity"))
    chunk = rng.choice(
        (b"zz\r\n", b"-5\r\n", b"5\r\nhello world", b"f" * 30 + b"\r\n", b"0\r\n\r\n")
    )
    return [head.encode() + coding.encode() + b"\r\n\r\n" + chunk]


def _small_chunks(rng: random.Random) -> list[bytes]:
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
    first = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n"
    return [first, b"1\r\n%c\r\n" % rng.randrange(256) * CHUNKS]


CHUNKS = 300_000
HALF_CLOSE, LEAVE = b"<half close>", b"<leave>"
KINDS: dict[str, Callable[[random.Random], list[bytes]]] = {
    "truncated": _truncated,
    "damaged": _damaged,
    "bomb": _bomb,
    "many scans": _many_scans,
    "other type": _other_type,
    "odd name": _odd_name,
    "large": _large,
    "huge head": _huge_head,
    "no HTTP": _no_http,
    "bad form": _bad_form,
    "bad JSON": _bad_json,
    "half a head": _half_head,
    "half a body": _half_body,
    "silent after a half": _silent,
    "leaves in the middle": _leaves,
    "bad chunks": _bad_chunks,
    "small chunks": _small_chunks,
}


def _say(where: tuple[str, int], chunks: list[bytes]) -> tuple[int, str]:
    """Status and sentence; 0 where nothing was answered, -1 for who left."""
    try:
        with socket.create_connection(where, timeout=PATIENCE) as client:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for chunk in chunks:
                    if chunk is LEAVE:
                        return -1, "left"
                    if chunk is HALF_CLOSE:
                        client.shutdown(socket.SHUT_WR)
                    else:
                        client.sendall(chunk)
            return _answer(client)
    except OSError as error:
        return 0, str(error)


def _answer(client: socket.socket) -> tuple[int, str]:
    got = b""
    while True:
        head, end, body = got.partition(b"\r\n\r\n")
        if end:
            fields = dict(
                line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line
            )
            if len(body) >= int(fields[b"content-length"]):
                content = json.loads(body)
                return int(head.split()[1]), content.get("error", "answered")
        chunk = client.recv(2**16)
        if not chunk:
            return 0, "nothing"
        got += chunk


def _waited_beside_chunks(where: tuple[str, int], good: bytes) -> float:
    """The seconds of the slowest answer to the good picture while four clients send chunks."""
    slowest = 0.0
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(_say, where, _small_chunks(random.Random(0))) for _ in range(4)]
        while not all(one.done() for one in asked):
            begin = time.monotonic()
            _say(where, _request(_form(good)))
            slowest = max(slowest, time.monotonic() - begin)
    return slowest


def _ask_on(
    where: tuple[str, int], good: bytes, stop: threading.Event, bad: list[tuple[int, str]]
) -> None:
    while not stop.wait(0.05):
        status, sentence = _say(where, _request(_form(good)))
        if status != 200:
            bad.append((status, sentence))


# The server


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[tuple[tuple[str, int], subprocess.Popen, list[Path]]]:
    """Where a server of its own listens, its process, and the folders it could write into."""
    network = folder / "model.onnx"
    _export(network)
    empty = [folder / "here", folder / "temporary"]
    for one in empty:
        one.mkdir()
    path = os.pathsep.join([str(HERE / "src"), os.environ.get("PYTHONPATH", "")])
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pawprint", "serve", "--port", "0", "--model", network],
            cwd=empty[0],
            env=os.environ
            | {"PYTHONPATH": path, "TMPDIR": str(empty[1])}
            | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        line = process.stdout.readline()
        host, port = line.split("http://")[1].split("/")[0].split(":")
        yield (host, int(port)), process, empty
    finally:
        process.terminate()
        process.wait(timeout=60)
        told = (folder / "server.log").read_text().strip() or "nothing"
        print(f"\nthe server ended with {process.returncode} and said {told[-2000:]}")


def _export(path: Path) -> None:
    from pawprint.export.onnx import export_onnx
    from pawprint.models.build import build_model

    model = build_model("cnn", 64, 2, depth=2, width=8, dense_units=8, dropout=0.2)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
    export_onnx(model, path, ["cats", "dogs"], pictures)


def _written(process: subprocess.Popen) -> int:
    """Bytes that a process wrote to disk."""
    lines = Path(f"/proc/{process.pid}/io").read_text(encoding="utf-8").splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def _megabytes(process: subprocess.Popen) -> float:
    pages = int(Path(f"/proc/{process.pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
