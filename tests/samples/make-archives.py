#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes archives for tests, good and hostile ones: make-archives.py FOLDER

Each function of the table ARCHIVES makes one file, and its docstring says what is in it.  Members that are to be right
hold pattern(): so a test needs nothing but the size to know the bytes.
"""
import io
import os
import stat
import struct
import sys
import zipfile
import zlib

BLOCK = 32768
STORED, MSZIP, QUANTUM, LZX = 0, 1, 2, 0x0F03
DOS_DATE, DOS_TIME = (2026 - 1980) << 9 | 11 << 5 | 21, 13 << 11 | 14 << 5 | 15 // 2
DATE = (2026, 11, 21, 13, 14, 14)
UTF8_NAME = 0x80


def pattern(size, seed=0):
    """Bytes that compress, but not to nothing, and tell where they are from."""
    words = b''.join(struct.pack('<I', (i * 2654435761 + seed) & 0xffffff) for i in range(size // 4 + 1))
    return words[:size]


# --- cabinets ---------------------------------------------------------------------------------------------------------

def checksum(data, seed=0):
    whole = len(data) & ~3
    for word in struct.unpack('<%dI' % (whole // 4), data[:whole]):
        seed ^= word
    rest = data[whole:]
    return seed ^ int.from_bytes(rest, 'big')


def lzx_frame(data, first):
    """A frame of one block that is not compressed (type 3): valid LZX without an encoder."""
    bits = ('0' if first else '') + '011' + format(len(data), '024b')
    bits += '0' * (-len(bits) % 16 or 16)
    words = b''.join(struct.pack('<H', int(bits[i:i + 16], 2)) for i in range(0, len(bits), 16))
    return words + struct.pack('<III', 1, 1, 1) + data + (b'\0' if len(data) & 1 else b'')


def pack(data, method, first):
    if method == MSZIP:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        return b'CK' + deflate.compress(data) + deflate.flush()
    if method == LZX:
        return lzx_frame(data, first)
    return data


def data_block(data, method, first, spoil=False):
    packed = pack(data, method, first)
    head = struct.pack('<HH', len(packed), len(data))
    return struct.pack('<I', checksum(head, checksum(packed)) ^ spoil) + head + packed


def data_blocks(data, method):
    return [data_block(data[i:i + BLOCK], method, i == 0) for i in range(0, len(data), BLOCK)]


def file_entry(name, size, offset, folder, attributes=0x20):
    return struct.pack('<IIHHHH', size, offset, folder, DOS_DATE, DOS_TIME, attributes) + name + b'\0'


def assemble(folders, files, flags=0, volume=b''):
    """@folders: (method, list of data blocks); @files: file_entry()s; @volume: names of the next one."""
    files_at = 36 + len(volume) + 8 * len(folders)
    at = files_at + sum(map(len, files))
    table = b''
    for method, blocks in folders:
        table += struct.pack('<IHH', at, len(blocks), method)
        at += sum(map(len, blocks))
    head = struct.pack('<4sIIIIIBBHHHHH', b'MSCF', 0, at & 0xffffffff, 0, files_at, 0, 3, 1, len(folders),
                       len(files), flags, 1, 0)
    return head + volume + table + b''.join(files) + b''.join(b''.join(blocks) for _, blocks in folders)


def cabinet(*folders):
    """@folders: (method, [(name, bytes)])."""
    entries, packed = [], []
    for index, (method, members) in enumerate(folders):
        offset = 0
        for name, data in members:
            entries.append(file_entry(name, len(data), offset, index))
            offset += len(data)
        packed.append((method, data_blocks(b''.join(data for _, data in members), method)))
    return assemble(packed, entries)


def plain_members():
    return [(b'minidump.mdmp', pattern(200000)), (b'sub\\info.xml', pattern(150)), (b'empty', b''),
            (b'last.bin', pattern(70000))]


def stored_cab():
    """Four members, one of them empty, not compressed."""
    return cabinet((STORED, plain_members()))


def mszip_cab():
    """The same, MSZIP."""
    return cabinet((MSZIP, plain_members()))


def lzx_cab():
    """The same, LZX."""
    return cabinet((LZX, plain_members()))


def folders_cab():
    """Three folders of three methods."""
    return cabinet((MSZIP, [(b'a', pattern(40000)), (b'b', pattern(10))]),
                   (LZX, [(b'c', pattern(70000)), (b'd', b''), (b'e', pattern(5))]),
                   (STORED, [(b'f', pattern(33000)), (b'g', pattern(100000))]))


def far_cab():
    """A small member of the second folder, behind 4 MiB of the first."""
    return cabinet((STORED, [(b'large', bytes(4 << 20))]), (MSZIP, [(b'other', pattern(100)), (b'small', pattern(1000))]))


def quantum_cab():
    """A method that nobody knows."""
    return assemble([(QUANTUM, [data_block(pattern(1000), STORED, True)])], [file_entry(b'a', 1000, 0, 0)])


def names_cab():
    """Names that lead out, two that are the same, some that are no text."""
    names = [b'..\\..\\etc\\passwd', b'\\absolute', b'C:\\boot.ini', b'n' * 250, b'same', b'same', b'\xff\xfe.bin',
             b'a\nb', b'.', b'..']
    entries = [file_entry(name, 4, 4 * i, 0) for i, name in enumerate(names)]
    entries.append(file_entry('größe.txt'.encode(), 4, 4 * len(names), 0, 0x20 | UTF8_NAME))
    return assemble([(MSZIP, data_blocks(b'1234' * (len(names) + 1), MSZIP))], entries)


def liar_cab():
    """A member that is said to be larger than its folder."""
    return assemble([(MSZIP, data_blocks(pattern(1000), MSZIP))], [file_entry(b'a', 1000000, 0, 0)])


def overlap_cab():
    """A member that begins where another one has not ended."""
    return assemble([(STORED, data_blocks(pattern(1000), STORED))],
                    [file_entry(b'a', 600, 0, 0), file_entry(b'b', 600, 400, 0)])


def spoilt_cab():
    """The second block has a wrong checksum."""
    data = pattern(100000)
    blocks = [data_block(data[i:i + BLOCK], MSZIP, False, spoil=i == BLOCK) for i in range(0, len(data), BLOCK)]
    return assemble([(MSZIP, blocks)], [file_entry(b'a', 20000, 0, 0), file_entry(b'b', 80000, 20000, 0)])


def volumes_cab():
    """One of several volumes: its only member goes on in the next."""
    return assemble([(MSZIP, data_blocks(pattern(1000), MSZIP))], [file_entry(b'a', 1000, 0, 0xfffe)], flags=2,
                    volume=b'next.cab\0disk 2\0')


def zeros_cab(blocks):
    zero = data_block(bytes(BLOCK), MSZIP, False)
    return assemble([(MSZIP, [zero] * blocks)], [file_entry(b'zero', blocks * BLOCK, 0, 0)])


def small_cab():
    """Little of everything: spoilt copies of it are tried by the thousand."""
    return cabinet((MSZIP, [(b'a', pattern(300)), (b'b\\c', pattern(20))]), (STORED, [(b'd', pattern(40)), (b'e', b'')]))


def small_lzx_cab():
    """The same, LZX."""
    return cabinet((LZX, [(b'a', pattern(300)), (b'b\\c', pattern(20))]))


def huge_cab():
    """The largest member that a cabinet can have, of zeros: 590 bytes for one, which is nothing unusual."""
    return zeros_cab(65535)


def head_cab():
    """The head of a cabinet of 512 MiB, and nothing else: the rest would be one stored member of zeros."""
    head = struct.pack('<4sIIIIIBBHHHHH', b'MSCF', 0, 0, 0, 44, 0, 3, 1, 1, 2, 0, 1, 0)
    files = file_entry(b'big.dmp', 512 << 20, 0, 0) + file_entry(b'info.xml', 0, 512 << 20, 0)
    return head + struct.pack('<IHH', 44 + len(files), 16384, STORED) + files


# --- ZIPs -------------------------------------------------------------------------------------------------------------

def zip_of(members, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, DATE), data, method)
    return out.getvalue()


def text_members():
    return [(name.decode().replace('\\', '/'), data) for name, data in plain_members()]


def stored_zip():
    """The members of stored.cab, not compressed."""
    return zip_of(text_members(), zipfile.ZIP_STORED)


def deflate_zip():
    """The same, deflated."""
    return zip_of(text_members())


def zip64_zip():
    """The same, with the fields that sizes over 4 GiB need."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        for name, data in text_members():
            info = zipfile.ZipInfo(name, DATE)
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, 'w', force_zip64=True) as member:
                member.write(data)
    return out.getvalue()


class Pipe(io.RawIOBase):
    """Where nobody can go back, sizes come behind the data."""

    def __init__(self):
        super().__init__()
        self.bytes = b''

    def writable(self):
        return True

    def write(self, data):
        self.bytes += bytes(data)
        return len(data)


def piped_zip():
    """The same, written without going back: sizes are behind the data."""
    out = Pipe()
    with zipfile.ZipFile(out, 'w') as archive:
        for name, data in text_members():
            archive.writestr(zipfile.ZipInfo(name, DATE), data, zipfile.ZIP_DEFLATED)
    return out.bytes


def empty_zip():
    """No member."""
    return zip_of([])


def methods_zip():
    """Methods that are not ours: bzip2, LZMA; and one that is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        for name, method in ('bzip2', zipfile.ZIP_BZIP2), ('lzma', zipfile.ZIP_LZMA), ('good', zipfile.ZIP_DEFLATED):
            archive.writestr(zipfile.ZipInfo(name, DATE), pattern(1000), method)
    return out.getvalue()


def raw_zip(members):
    """@members: (name, data, what to change: flags, method, size, crc, mode)."""
    body, directory = bytearray(), bytearray()
    for name, data, change in members:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = deflate.compress(data) + deflate.flush() if change.get('method', 8) == 8 else data
        fields = struct.pack('<HHHHIIIHH', change.get('flags', 0), change.get('method', 8), DOS_TIME, DOS_DATE,
                             change.get('crc', zlib.crc32(data)), len(packed), change.get('size', len(data)), len(name),
                             0)
        directory += struct.pack('<IBBH', 0x02014b50, 20, 3, 20) + fields \
            + struct.pack('<HHHII', 0, 0, 0, change.get('mode', stat.S_IFREG | 0o644) << 16, len(body)) + name
        body += struct.pack('<IH', 0x04034b50, 20) + fields + name + packed
    end = struct.pack('<IHHHHIIH', 0x06054b50, 0, 0, len(members) & 0xffff, len(members) & 0xffff, len(directory),
                      len(body), 0)
    return bytes(body + directory + end)


def names_zip():
    """Names that lead out, of 300 and of 65,000 bytes, cut by a NUL, the same, empty, no text."""
    names = [b'../../etc/passwd', b'/absolute', b'n' * 300, b'p/' * 32499 + b'q', b'nul\0cut', b'same', b'same', b'',
             b'\xff\xfe.bin', b'back\\slash', b'a\nb', b'100%.txt']
    members = [(name, b'1234', {}) for name in names]
    members.append(('größe.txt'.encode(), b'1234', {'flags': 0x800}))
    return raw_zip(members)


def kinds_zip():
    """A file among a directory, a link, devices and a socket, and what says that it is a pipe: that is a file, some
    programs that write ZIPs from a pipe mean nothing by it."""
    return raw_zip([
        (b'directory/', b'', {'mode': stat.S_IFDIR | 0o755}), (b'link', b'/etc/passwd', {'mode': stat.S_IFLNK | 0o777}),
        (b'block', b'', {'mode': stat.S_IFBLK | 0o600}), (b'char', b'', {'mode': stat.S_IFCHR | 0o600}),
        (b'pipe', b'', {'mode': stat.S_IFIFO | 0o600}), (b'socket', b'', {'mode': stat.S_IFSOCK | 0o600}),
        (b'file', b'1234', {'mode': stat.S_IFREG | 0o6777})])


def liar_zip():
    """Members of another size than is said, one with a wrong checksum, a right one."""
    return raw_zip([(b'smaller', pattern(1000), {'size': 1000000}), (b'larger', pattern(100000), {'size': 1000}),
                    (b'spoilt', pattern(1000), {'crc': 1}), (b'good', pattern(1000), {})])


def locked_zip():
    """Encrypted members, in two ways; and one that is not."""
    return raw_zip([(b'pkware', pattern(1000), {'flags': 1}), (b'aes', pattern(1000), {'flags': 1, 'method': 99}),
                    (b'good', pattern(1000), {})])


def many_zip():
    """100,001 members."""
    return raw_zip([(b'%d' % i, b'', {'method': 0}) for i in range(100001)])


def inner_zip():
    """Cabinets, deflated and stored, one that is not one, one that is broken, one in a ZIP; and a file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        for name, data, method in (
                ('read.me', b'1234', zipfile.ZIP_STORED), ('first.cab', mszip_cab(), zipfile.ZIP_DEFLATED),
                ('SECOND.CAB', folders_cab(), zipfile.ZIP_STORED), ('text.cab', b'no cabinet', zipfile.ZIP_STORED),
                ('broken.cab', mszip_cab()[:100], zipfile.ZIP_DEFLATED), ('deeper.zip', deflate_zip(), zipfile.ZIP_STORED),
                ('liar.cab', liar_cab(), zipfile.ZIP_STORED)):
            archive.writestr(zipfile.ZipInfo(name, DATE), data, method)
    return out.getvalue()


def small_zip():
    """Little of everything, in a ZIP."""
    return raw_zip([(b'a', pattern(300), {}), (b'b/', b'', {'mode': stat.S_IFDIR}), (b'b/c', pattern(20), {'method': 0})])


def small_inner_zip():
    """Cabinets in a ZIP."""
    return raw_zip([(b'a.cab', small_cab(), {}), (b'b.cab', small_lzx_cab(), {'method': 0})])


def bomb_zip():
    """A cabinet of 100 MiB of zeros, in 10 KiB."""
    return zip_of([('bomb.cab', zeros_cab(3200))])


ARCHIVES = [stored_cab, mszip_cab, lzx_cab, folders_cab, far_cab, quantum_cab, names_cab, liar_cab, overlap_cab, spoilt_cab,
            volumes_cab, huge_cab, head_cab, small_cab, small_lzx_cab, stored_zip, deflate_zip, zip64_zip, piped_zip, empty_zip, methods_zip,
            names_zip, kinds_zip, liar_zip, locked_zip, many_zip, inner_zip, small_zip,
            small_inner_zip, bomb_zip]


def main():
    folder = sys.argv[1]
    for make in ARCHIVES:
        stem, _, kind = make.__name__.rpartition('_')
        with open(os.path.join(folder, '%s.%s' % (stem.replace('_', '-'), kind)), 'wb') as file:
            file.write(make())


if __name__ == '__main__':
    main()
