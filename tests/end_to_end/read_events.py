"""Compares a run's TensorBoard files with its metrics.jsonl.

    read_events.py RUN [FILES]

Reads the files as TensorBoard does, and by nothing of ours: records framed by
masked CRC-32C, events as protobuf on the wire, files in the order of their
names; a session that starts at a step voids what was there of that step and
later. FILES: how many there have to be.
"""

import json
import pathlib
import struct
import sys


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    """Whole records; one that was cut off ends the file."""
    at = 0
    while at + 12 <= len(data):
        length, crc = struct.unpack_from('<QI', data, at)
        assert crc == masked(data[at:at + 8]), f'length at {at}'
        end = at + 12 + length
        if end + 4 > len(data):
            return
        record = data[at + 12:end]
        assert struct.unpack_from('<I', data, end)[0] == masked(record), at
        yield record
        at = end + 4


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, value) of a message: int, bytes or packed bytes of a float."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            if kind == 2:
                size, at = varint(data, at)
            else:
                size = {1: 8, 5: 4}[kind]
            value = data[at:at + size]
            at += size
        yield key >> 3, value


def read(run):
    """{step: {tag: value}}, and the number of files."""
    steps = {}
    files = sorted(p for p in run.iterdir() if 'tfevents' in p.name)
    for path in files:
        for i, record in enumerate(records(path.read_bytes())):
            event = dict(fields(record))
            assert struct.unpack('<d', event[1])[0] > 1.6e9, 'wall_time'
            if i == 0:
                assert event[3] == b'brain.Event:2', event
            step = event.get(2, 0)
            if 7 in event and dict(fields(event[7])).get(1) == 1:  # START
                steps = {s: v for s, v in steps.items() if s < step}
            for _, value in fields(event.get(5, b'')):
                value = dict(fields(value))
                tags = steps.setdefault(step, {})
                tag = value[1].decode()
                assert tag not in tags, (step, tag)
                tags[tag] = struct.unpack('<f', value[2])[0]
    return steps, len(files)


def expected(run):
    steps = {}
    for line in (run / 'metrics.jsonl').read_text().splitlines():
        m = json.loads(line)
        stage, step = m.pop('stage'), m.pop('global_step')
        for key in ('stage_index', 'step', 'tokens', 'curriculum_held'):
            m.pop(key, None)
        masses = m.pop('la_mass', None)
        if masses is not None:
            total, known = 0.0, [x for x in masses if x is not None]
            for mass in known:
                total += mass
            if known:
                m['la_mass'] = total / len(known)
        steps[step] = {
            f'{stage}/{key}': struct.unpack('<f', struct.pack('<f', value))[0]
            for key, value in m.items()}
        for layer, mass in enumerate(masses or []):
            if mass is not None:
                steps[step][f'{stage}_la_mass/layer_{layer:03}'] = \
                    struct.unpack('<f', struct.pack('<f', mass))[0]
    return steps


def main():
    run = pathlib.Path(sys.argv[1])
    found, files = read(run)
    wanted = expected(run)
    if found != wanted or not wanted:
        for step in sorted(found.keys() | wanted.keys()):
            if found.get(step) != wanted.get(step):
                sys.exit(f'step {step}: {found.get(step)} in event files, '
                         f'{wanted.get(step)} in metrics.jsonl')
        sys.exit('no steps')
    if len(sys.argv) > 2 and files != int(sys.argv[2]):
        sys.exit(f'{files} files')
    tags = sorted({tag for values in found.values() for tag in values})
    print(f'{len(found)} steps, {files} files: {" ".join(tags)}')


if __name__ == '__main__':
    main()
