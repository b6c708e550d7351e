"""What the drills share: a small job, gangs that run it, and what they left.

Standard library only. Everything happens below one temporary folder.
"""
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

JOB = """\
name: "drill"
preset: "ssd"
model {{ path: "{model}" }}
data {{ path: "{folder}/train.h5" validation: "{folder}/heldout.h5" }}
attention {{ window: 8 sinks: 2 features: 32 }}
budget {{ transfer_steps: {transfer} finetune_steps: {finetune} batch: 4 }}
validation {{ every_steps: 10 rows: 4 }}
checkpoint {{ every_steps: 1 every_seconds: 0 keep_last: 3 }}
evaluation {{ rows: 0 }}
seed: 7
threads: 1
"""


class DrillError(Exception):
    """What a drill found wrong."""


def check(condition, message):
    if not condition:
        raise DrillError(message)


@dataclasses.dataclass(frozen=True)
class Layout:
    data: int
    tensor: int
    layer: int = 1  # of attention transfer; then data ranks

    @staticmethod
    def parse(text):
        return Layout(*(int(ranks) for ranks in text.split('x')))

    def __str__(self):
        chain = f'x{self.layer}' if self.layer > 1 else ''
        return f'{self.data}x{self.tensor}{chain}'

    @property
    def ranks(self):
        return self.data * self.tensor * self.layer


class Drill:
    """A folder with packed data and a job; runs of it lie in the folder."""

    def __init__(self, caracal, model, transfer, finetune):
        self.caracal = os.path.abspath(caracal)
        # Open MPI makes sockets below TMPDIR, whose paths must be short.
        self.folder = pathlib.Path(
            tempfile.mkdtemp(prefix='drill.', dir='/tmp'))
        self.steps = transfer + finetune
        self.runs = []
        self.environment = {
            **os.environ, 'TMPDIR': str(self.folder),
            'OMPI_ALLOW_RUN_AS_ROOT': '1',
            'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1',
        }
        text = self.folder / 'text.txt'
        with text.open('w', encoding='utf-8') as out:
            for i in range(700):
                out.write(f'In the year {1000 + i * 7 % 913} there were '
                          f'{i * i % 97} of them, and the fox that runs over '
                          f'the dog sees {i % 11} tokens.\n')
        self.tell('data', 'pack', '--tokenizer', model, '--input', text,
                  '--seq-len', '48', '--out', self.folder / 'train.h5',
                  '--held-out', self.folder / 'heldout.h5',
                  '--held-out-fraction', '0.1')
        self.job = self.folder / 'job.textproto'
        self.job.write_text(JOB.format(
            model=os.path.abspath(model), folder=self.folder,
            transfer=transfer, finetune=finetune), encoding='utf-8')

    def __enter__(self):
        return self

    def __exit__(self, *error):
        # Gangs that a failed drill left behind.
        for run in self.runs:
            if run.process is not None:
                kill(run.processes())
                run.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def tell(self, *arguments):
        """The output of a `caracal` command that must succeed."""
        done = subprocess.run([self.caracal, *map(str, arguments)],
                              capture_output=True, text=True,
                              env=self.environment, check=False)
        check(done.returncode == 0,
              f'caracal {" ".join(map(str, arguments))}: {done.stderr}')
        return done.stdout

    def run(self, name):
        return Run(self, self.folder / name)


class Run:
    """A run folder, and the gang that works on it while there is one."""

    def __init__(self, drill, folder):
        drill.runs.append(self)
        self.drill = drill
        self.folder = folder
        self.process = None
        self.ended_with = None  # exit status of the last gang
        self.errors = ''        # what it said
        self._log = None

    @property
    def begun(self):
        return (self.folder / 'job.textproto').exists()

    def start(self, layout, *more):
        """One process for 1x1, else ranks; resumes what there is."""
        command = [self.drill.caracal, 'run', self.drill.job, '--out',
                   self.folder, '--set', f'parallel.data={layout.data}',
                   '--set', f'parallel.tensor={layout.tensor}',
                   '--set', f'parallel.layer={layout.layer}', *more]
        if self.begun:
            command.append('--resume')
        self._log = tempfile.TemporaryFile('w+', dir=self.drill.folder)
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.DEVNULL,
            stderr=self._log, env=self.drill.environment,
            start_new_session=True)

    def wait(self, seconds=120):
        """Its exit status, negative for a signal."""
        try:
            self.ended_with = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            left = ', '.join(map(describe, self.processes()))
            raise DrillError(
                f'not ended within {seconds} s: {self.said()}; there are {left}')
        self.errors = self.said()
        self._log.close()
        self.process = None
        return self.ended_with

    def said(self):
        self._log.seek(0)
        return self._log.read()

    def finish(self, layout, *more):
        self.start(layout, *more)
        status = self.wait()
        check(status == 0, f'exit status {status}: {self.errors}')

    def processes(self):
        """caracal, then its mpirun, then the ranks; those that are there."""
        found = [self.process.pid]
        for pid in found:
            found += children_of(pid)
        return found

    def ranks(self):
        """Process numbers of the ranks: caracal itself where it is alone."""
        family = self.processes()
        return family[2:] if len(family) > 2 else []

    def checkpoints(self):
        """Steps with a manifest: the committed ones, rising."""
        found = (self.folder / 'checkpoints').glob(
            'checkpoint-*/manifest.json')
        return sorted(int(path.parent.name[len('checkpoint-'):])
                      for path in found)

    def checkpoint(self, step):
        return self.folder / 'checkpoints' / f'checkpoint-{step:08d}'

    def being_written(self):
        """Whether a checkpoint is, as far as one look tells."""
        try:
            newest = max((self.folder / 'checkpoints').glob('checkpoint-*'))
        except ValueError:
            return False
        return not (newest / 'manifest.json').exists()

    def verify(self):
        """No committed checkpoint is damaged."""
        if (self.folder / 'checkpoints').exists():
            told = json.loads(
                self.drill.tell('checkpoint', 'verify', self.folder, '--json'))
            for entry in told['checkpoints']:
                check(entry['whole'], f'damaged: {entry}')

    def losses(self):
        """(stage, step, loss) of each step, in order, as written."""
        out = []
        with (self.folder / 'metrics.jsonl').open(encoding='utf-8') as lines:
            for line in lines:
                record = json.loads(line)
                out.append((record['stage'], record['step'], record['loss']))
        return out

    def measure(self):
        """What its model measures on held-out rows."""
        told = json.loads(self.drill.tell(
            'attribute', self.folder, '--data',
            self.drill.folder / 'heldout.h5', '--rows', '4', '--json'))
        # What differs without meaning anything: where it lies.
        told.pop('model', None)
        told.get('settings', {}).pop('model', None)
        return told

    def went_on_after(self):
        """The step after which the last gang said it goes on; 0: none."""
        found = re.search(r'going on after step (\d+)', self.errors)
        return int(found.group(1)) if found else 0

    def remove(self):
        shutil.rmtree(self.folder)


def children_of(pid):
    try:
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as f:
            return [int(child) for child in f.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def gone(pids, seconds=10):
    """Waits until none of the processes is there."""
    deadline = time.monotonic() + seconds
    left = list(pids)
    while left:
        left = [pid for pid in left if is_running(pid)]
        check(time.monotonic() < deadline,
              f'processes {left} are there {seconds} s after the kill')
        time.sleep(0.02)


def describe(pid):
    """Name, state (T: somebody stopped it) and what it waits for."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii') as f:
            name, rest = f.read().rsplit(')', 1)
        with open(f'/proc/{pid}/wchan', encoding='ascii') as f:
            return f'{name}) {rest.split()[0]} {f.read()}'
    except (FileNotFoundError, ProcessLookupError):
        return f'{pid} gone'


def is_running(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii') as f:
            return f.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except (FileNotFoundError, ProcessLookupError):
        return False
