#!/usr/bin/env python3
"""Checkpoints of a gang that are damaged, and disks that are full.

    damage_drill.py --caracal CARACAL --model MODEL

A run of 2x2 ranks; of its newest checkpoint a byte of a rank's file is
flipped, the file is cut, or removed; or the manifest is damaged. `checkpoint
verify` and the next start name the file, the start goes on from the checkpoint
before, and ends with the uninterrupted run's losses. With every checkpoint
damaged the start is refused, and nothing is changed.

Then the same run on a disk (a tmpfs) that is too small for its checkpoints:
the gang ends with one line that names the file and the reason, every checkpoint
of before is whole, and with more space the run goes on from the newest one, to
the same losses. Making that disk needs root; without, this part is left out and
the output says so.

Exit status 0 only when all of it held. What was done is printed, a line each.
"""
import argparse
import re
import shutil
import subprocess
import sys

import gang

TRANSFER, FINETUNE = 6, 6
LAYOUT = gang.Layout(2, 2)


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path):
    with path.open('r+b') as file:
        file.truncate(path.stat().st_size // 2)


DAMAGES = {
    'a flipped byte': ('rank-00003.h5', flip),
    'a cut file': ('rank-00001.h5', cut),
    'a missing file': ('rank-00002.h5', lambda path: path.unlink()),
    'a damaged manifest': ('manifest.json', flip),
}


def verify(run):
    """Exit status and words of `checkpoint verify`."""
    done = subprocess.run(
        [run.drill.caracal, 'checkpoint', 'verify', run.folder],
        capture_output=True, text=True, env=run.drill.environment, check=False)
    return done.returncode, done.stdout


def damage_drill(drill):
    whole = drill.run('whole')
    whole.finish(LAYOUT)
    expected = whole.losses()
    newest = whole.checkpoints()[-1]
    for what, (name, damage) in DAMAGES.items():
        # The next start is on another layout at times.
        layout = gang.Layout(1, 1) if what == 'a cut file' else LAYOUT
        run = drill.run('damaged')
        shutil.copytree(whole.folder, run.folder)
        path = run.checkpoint(newest) / name
        damage(path)
        status, told = verify(run)
        gang.check(status == 1 and str(path) in told,
                   f'{what}: verify exits with {status}: {told}')
        run.finish(layout)
        gang.check(str(path) in run.errors,
                   f'{what}: the start does not name {path}: {run.errors}')
        gang.check(run.went_on_after() == newest - 1,
                   f'{what}: not after step {newest - 1}: {run.errors}')
        check_losses(what, run, expected, layout == LAYOUT)
        run.verify()
        run.remove()
        print(f'{what}: {name} named, gone on after step {newest - 1}')

    run = drill.run('damaged')
    shutil.copytree(whole.folder, run.folder)
    paths = [run.checkpoint(step) / 'rank-00001.h5'
             for step in run.checkpoints()]
    for path in paths:
        flip(path)
    before = contents(run)
    run.start(LAYOUT)
    status = run.wait()
    gang.check(status == 1, f'exit status {status}: {run.errors}')
    for path in paths:
        gang.check(str(path) in run.errors,
                   f'{path} is not named: {run.errors}')
    one_line(run)
    gang.check(before == contents(run), 'a refused start changed the run')
    print(f'all {len(paths)} checkpoints damaged: refused, nothing changed')


def contents(run):
    """The run's files; not its coordinator's, which notes every start."""
    return {path: path.read_bytes() for path in run.folder.rglob('*')
            if path.is_file() and run.folder / 'coordinator' not in path.parents}


def one_line(run):
    lines = [line for line in run.errors.splitlines()
             if line.startswith('caracal-worker: ')]
    gang.check(len(lines) == 1, f'not one line: {run.errors}')
    return lines[0]


def check_losses(what, run, expected, same):
    found = run.losses()
    gang.check(len(found) == len(expected), f'{what}: {len(found)} steps')
    for a, b in zip(found, expected):
        gang.check(a[:2] == b[:2] and
                   (a[2] == b[2] if same else abs(a[2] - b[2]) <= 1e-4 * b[2]),
                   f'{what}: {a} instead of {b}')


class Disk:
    """A small disk, mounted on a folder while in use."""

    def __init__(self, folder, kilobytes):
        self.folder = folder
        folder.mkdir()
        self._mount('-t', 'tmpfs', '-o', f'size={kilobytes}k', 'tmpfs')

    def __enter__(self):
        return self

    def __exit__(self, *error):
        subprocess.run(['umount', self.folder], check=True)

    def grow(self, kilobytes):
        self._mount('-o', f'remount,size={kilobytes}k')

    def _mount(self, *arguments):
        subprocess.run(['mount', *arguments, self.folder], check=True,
                       capture_output=True)


def full_disk_drill(drill):
    expected = drill.run('whole').losses()
    try:
        disk = Disk(drill.folder / 'disk', 4)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f'a full disk: left out, for want of leave to mount: {error}')
        return
    ends = 0
    with disk:
        run = gang.Run(drill, disk.folder / 'run')
        # A little more space each time: it gets full at another place.
        for kilobytes in range(120, 2000, 120):
            disk.grow(kilobytes)
            before = run.checkpoints()
            run.start(LAYOUT)
            status = run.wait()
            run.verify()
            now = run.checkpoints()
            gang.check((now or [0])[-1] >= (before or [0])[-1],
                       f'of {before} there is {now}: {run.errors}')
            if status == 0:
                break
            ends += 1
            gang.check(status == 75, f'exit status {status}: {run.errors}')
            gang.check(re.search(r'rank \d+ on .*disk/run.*No space left',
                                 one_line(run)),
                       f'not named: {run.errors}')
        gang.check(status == 0 and ends >= 3, f'{ends} full disks, {status}')
        check_losses('a full disk', run, expected, True)
    print(f'a disk that was full {ends} times: named each time, every '
          f'checkpoint of before whole, done with {kilobytes} KiB')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--caracal', required=True)
    parser.add_argument('--model', required=True)
    options = parser.parse_args()
    with gang.Drill(options.caracal, options.model, TRANSFER,
                    FINETUNE) as drill:
        try:
            damage_drill(drill)
            full_disk_drill(drill)
        except gang.DrillError as error:
            print(f'FAILED: {error}', file=sys.stderr)
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
