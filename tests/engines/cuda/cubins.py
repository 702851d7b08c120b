"""Machine code of several kernels in one file: a disassembler takes its time to start, once.

NVIDIA's binaries are ELF files of 64 bits. Of each, the code and its symbols are kept as they are.
"""

import struct
from typing import NamedTuple

HEADER, SECTION, SYMBOL = "<16sHHIQQQIHHHHHH", "<IIQQQQIIQQ", "<IBBHQQ"
CODE, SYMBOLS, STRINGS = 1, 2, 3


class Section(NamedTuple):
    """The fields of a section's header, by the names that ELF has for them, and its content."""

    name: bytes
    type: int
    flags: int
    link: int
    info: int
    align: int
    entry: int
    content: bytes


def header_of(elf):
    return list(struct.unpack_from(HEADER, elf))


def sections_of(elf):
    """The sections of a file, in order: symbols tell them by their numbers."""
    head = header_of(elf)
    start, size, count, names = head[6], head[11], head[12], head[13]
    heads = [struct.unpack_from(SECTION, elf, start + i * size) for i in range(count)]
    for name, kind, flags, _, offset, length, link, info, align, entry in heads:
        content = elf[offset : offset + length] if kind in {CODE, SYMBOLS, STRINGS} else b""
        text = string_at(elf, heads[names][4] + name)
        yield Section(text, kind, flags, link, info, align, entry, content)


def string_at(strings, start):
    return strings[start : strings.index(b"\0", start)]


def symbols_of(sections):
    """Name, binding and type, visibility, number of the section, value and size of each symbol."""
    (table,) = (section for section in sections if section.type == SYMBOLS)
    strings = sections[table.link].content
    for name, *rest in struct.iter_unpack(SYMBOL, table.content):
        yield string_at(strings, name), *rest


def together(cubins):
    """One file with the code of several; all are of one architecture."""
    code, symbols = [], []
    for cubin in cubins:
        sections = list(sections_of(cubin))
        for number, section in enumerate(sections):
            if not section.name.startswith(b".text."):
                continue
            symbols += [(*s[:3], len(code), *s[4:]) for s in symbols_of(sections) if s[3] == number]
            code.append(section)
    return file_of(header_of(cubins[0]), code, symbols)


def file_of(head, code, symbols):
    """An ELF file: no section, the names of symbols, the symbols, the code, the sections' names."""
    symbols = sorted(symbols, key=lambda symbol: symbol[1] >> 4)  # local ones come first
    numbers = {s[3]: i for i, s in enumerate(symbols, 1) if s[1] >> 4}
    names, entries = b"\0", struct.pack(SYMBOL, 0, 0, 0, 0, 0, 0)
    for name, binding, other, number, value, size in symbols:
        entries += struct.pack(SYMBOL, len(names), binding, other, number + 3, value, size)
        names += name + b"\0"
    after_local = 1 + sum(not symbol[1] >> 4 for symbol in symbols)
    sections = [
        Section(b"", 0, 0, 0, 0, 0, 0, b""),
        Section(b".strtab", STRINGS, 0, 0, 0, 1, 0, names),
        Section(b".symtab", SYMBOLS, 0, 1, after_local, 8, struct.calcsize(SYMBOL), entries),
    ]
    # The upper byte tells the number of registers, the others the symbol of the kernel.
    sections += [
        s._replace(link=2, info=s.info >> 24 << 24 | numbers[i]) for i, s in enumerate(code)
    ]
    titles = b"\0".join([s.name for s in sections] + [b".shstrtab", b""])
    sections.append(Section(b".shstrtab", STRINGS, 0, 0, 0, 1, 0, titles))
    body, heads, title = bytearray(struct.calcsize(HEADER)), b"", 0
    for name, kind, flags, link, info, align, entry, content in sections:
        body += bytes(-len(body) % max(align, 8))
        fields = (title, kind, flags, 0, len(body), len(content), link, info, align, entry)
        heads += struct.pack(SECTION, *fields)
        body += content
        title += len(name) + 1
    body += bytes(-len(body) % 8)
    # No program headers; where the headers of sections begin, and how many there are.
    head[5], head[6], head[10], head[12], head[13] = 0, len(body), 0, len(sections), len(code) + 3
    struct.pack_into(HEADER, body, 0, *head)
    return bytes(body) + heads
