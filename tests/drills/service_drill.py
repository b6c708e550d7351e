#!/usr/bin/env python3
"""kill -9 of a coordinator and of its gangs, again and again.

    service_drill.py --caracal CARACAL --caracald CARACALD --model MODEL
                     [--kills N] [--seed S]

Jobs of one and two ranks, of several priorities, some after others, are
submitted, cancelled and resumed, while kills hit the coordinator (which is
started again), the gangs' leading ranks, other ranks, mpirun, and the gangs'
supervisors. All calls go through a proxy that cuts connections: before a
request is through, or before its response is. Whoever gets no answer asks
again, with the same idempotency key. When N kills have hit, everything may end
in peace. Then
  - every submission that was answered is there, once; none is there twice
  - every job has ended as it was asked to: succeeded, or cancelled where
    somebody wanted that
  - every step of a finished run is there once, with the loss that an
    uninterrupted run has, bit for bit
  - no gang ever met another one of its job in the run folder
  - no process is left

Exit status 0 only when all of it held. The numbers are printed as one line of
JSON.
"""
import argparse
import asyncio
import collections
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time

import gang
from gang import check

TRANSFER, FINETUNE = 20, 20
MOST_ALIVE = 8  # jobs that have not ended


class Proxy:
    """Between everybody and the coordinator, on a thread of its own."""

    def __init__(self, endpoint, dice):
        self.endpoint = endpoint  # of the coordinator, as it wrote it
        self.dice = dice
        self.cut = collections.Counter()
        self.peaceful = False
        self.address = None
        ready = threading.Event()

        async def serve():
            server = await asyncio.start_server(self.carry, '127.0.0.1', 0)
            port = server.sockets[0].getsockname()[1]
            self.address = f'127.0.0.1:{port}'
            ready.set()
            async with server:
                await server.serve_forever()

        threading.Thread(target=lambda: asyncio.run(serve()),
                         daemon=True).start()
        ready.wait()

    async def carry(self, reader, writer):
        # After so many bytes one way the connection is cut.
        limits = {'request': None, 'response': None}
        if not self.peaceful and self.dice.random() < 0.3:
            limits[self.dice.choice(list(limits))] = self.dice.randrange(2000)
        upstream = None
        try:
            host, port = self.endpoint().rsplit(':', 1)
            upstream = await asyncio.open_connection(host, int(port))
            await asyncio.wait(
                [asyncio.ensure_future(
                    self.copy(reader, upstream[1], 'request', limits)),
                 asyncio.ensure_future(
                     self.copy(upstream[0], writer, 'response', limits))],
                return_when=asyncio.FIRST_COMPLETED)
        except (OSError, ValueError):
            pass
        for end in (writer, upstream and upstream[1]):
            if end is not None:
                end.transport.abort()

    async def copy(self, reader, writer, what, limits):
        try:
            while True:
                data = await reader.read(4096)
                if not data:
                    return
                if limits[what] is not None:
                    limits[what] -= len(data)
                    if limits[what] < 0:
                        self.cut[what] += 1
                        return
                writer.write(data)
                await writer.drain()
        except OSError:
            return


class Service:
    def __init__(self, drill, caracald, dice):
        self.drill = drill
        self.caracald = os.path.abspath(caracald)
        self.data = drill.folder / 'data'
        self.process = None
        self.address = ''
        self.proxy = Proxy(lambda: self.address, dice)
        self.log = (drill.folder / 'daemon.txt').open('wb')

    def start(self):
        self.process = subprocess.Popen(
            [self.caracald, '--data', self.data, '--listen', '127.0.0.1:0',
             '--slots', '2', '--back-off', '0.1', '--heartbeat-timeout', '10',
             '--start-timeout', '60'],
            stdout=subprocess.PIPE, stderr=self.log,
            env=self.drill.environment)
        # "caracald: listening on 127.0.0.1:1234, data in ..."
        line = self.process.stdout.readline().decode()
        check('listening on ' in line, f'caracald did not start: {line}')
        self.address = line.split('listening on ')[1].split(',')[0]
        # Gangs go through the proxy, too.
        whole = self.data / 'endpoint.json'
        part = self.data / 'endpoint.drill'
        part.write_text(json.dumps({'address': self.proxy.address}))
        part.rename(whole)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def ask(self, *arguments):
        """What a `caracal` command says; again until it is answered."""
        began = time.monotonic()
        while True:
            done = subprocess.run(
                [self.drill.caracal, *map(str, arguments), '--server',
                 self.proxy.address],
                capture_output=True, text=True, env=self.drill.environment,
                check=False)
            # 75: nobody answered.
            if done.returncode != 75:
                return done
            check(time.monotonic() - began < 60,
                  f'no answer within a minute: {done.stderr}')

    def jobs(self):
        done = self.ask('ls', '--all', '--json')
        check(done.returncode == 0, f'caracal ls: {done.stderr}')
        return {job['id']: job for job in json.loads(done.stdout)['jobs']}


def processes(data):
    """Of gangs: by what they are, [(pid, folder of the gang)]."""
    out = collections.defaultdict(list)
    for entry in pathlib.Path('/proc').iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / 'cmdline').read_bytes().split(b'\0')
            environment = (entry / 'environ').read_bytes().split(b'\0')
        except OSError:
            continue
        values = dict(pair.split(b'=', 1) for pair in environment
                      if b'=' in pair)
        folder = values.get(b'CARACAL_GANG', b'').decode()
        name = os.path.basename(command[0]).decode()
        if name == 'caracal-gang' and len(command) > 1:
            folder = command[1].decode()
            if folder.startswith(str(data)):
                out['supervisor'].append((int(entry.name), folder))
        elif folder.startswith(str(data)):
            rank = values.get(b'OMPI_COMM_WORLD_RANK')
            if name == 'caracal-worker':
                kind = 'leading rank' if rank == b'0' else 'other rank'
                out[kind].append((int(entry.name), folder))
            elif name == 'mpirun':
                out['mpirun'].append((int(entry.name), folder))
    return out


class ServiceDrill:
    def __init__(self, drill, service, dice):
        self.drill = drill
        self.service = service
        self.dice = dice
        self.wanted = {}    # by job: 'succeeded' or 'cancelled'
        self.layouts = {}   # by job: its ranks
        self.keys = {}      # by idempotency key: the job
        self.count = collections.Counter()

    def submit(self):
        key = f'{self.dice.random()}'
        ranks = self.dice.choice([1, 1, 2])
        arguments = ['submit', self.drill.job, '--key', key, '--priority',
                     self.dice.randrange(3), '--max-retries', 1000,
                     '--set', f'parallel.data={ranks}', '--json']
        if self.wanted and self.dice.random() < 0.2:
            after = self.dice.choice(list(self.wanted))
            if self.wanted[after] == 'succeeded':
                arguments += ['--after', after]
        done = self.service.ask(*arguments)
        check(done.returncode == 0, f'caracal submit: {done.stderr}')
        job = json.loads(done.stdout)['id']
        # Somebody who is not sure asks again.
        if self.dice.random() < 0.3:
            again = self.service.ask(*arguments)
            check(json.loads(again.stdout)['id'] == job, 'submitted twice')
        check(job not in self.wanted, f'job {job} is two jobs')
        self.keys[key] = job
        self.wanted[job] = 'succeeded'
        self.layouts[job] = ranks
        self.count['submitted'] += 1

    def change(self, jobs):
        """Cancels or resumes some job."""
        job = jobs[self.dice.choice(list(jobs))]
        waited_for = {other for each in jobs.values()
                      for other in each['after']}
        if job['id'] in waited_for:
            return
        if job['state'] == 'cancelled':
            done = self.service.ask('resume', job['id'])
            if done.returncode == 0:
                self.wanted[job['id']] = 'succeeded'
                self.count['resumed'] += 1
        elif job['state'] not in ('succeeded', 'failed'):
            done = self.service.ask('cancel', job['id'])
            check(done.returncode == 0, f'caracal cancel: {done.stderr}')
            self.wanted[job['id']] = 'cancelled'
            self.count['cancelled'] += 1

    def kill_some(self):
        if self.dice.random() < 0.4:
            self.service.kill()
            # Now and then gangs end while nobody is there.
            time.sleep(self.dice.choice([0, 0, 0, 0.3, 1.5]))
            self.service.start()
            self.count['kills'] += 1
            self.count['killed coordinator'] += 1
            return
        there = processes(self.service.data)
        if not there:
            return
        kind = self.dice.choice(list(there))
        victim, _ = self.dice.choice(there[kind])
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.count['kills'] += 1
        self.count[f'killed {kind}'] += 1

    def run(self, kills):
        self.service.start()
        while self.count['kills'] < kills:
            jobs = self.service.jobs()
            alive = [job for job in jobs.values()
                     if job['state'] not in ('succeeded', 'failed',
                                             'cancelled')]
            if len(alive) < MOST_ALIVE and self.dice.random() < 0.5:
                self.submit()
            if jobs and self.dice.random() < 0.15:
                # Anew: the one just submitted may come after another.
                self.change(self.service.jobs())
            # Jobs need some time to get anywhere.
            time.sleep(self.dice.uniform(0, 0.6))
            for _ in range(self.dice.choice([1, 1, 2, 3])):
                self.kill_some()
        self.service.proxy.peaceful = True

    def end_in_peace(self):
        deadline = time.monotonic() + 600
        while True:
            jobs = self.service.jobs()
            if all(job['state'] in ('succeeded', 'failed', 'cancelled')
                   for job in jobs.values()):
                break
            check(time.monotonic() < deadline,
                  f'not all ended in ten minutes: {jobs}')
            time.sleep(0.2)
        check(set(jobs) == set(self.wanted),
              f'jobs {sorted(jobs)}, submitted {sorted(self.wanted)}')
        for number, job in jobs.items():
            self.count[f"ended {job['state']}"] += 1
            self.count['gangs'] += job['gangs']
            fine = (self.wanted[number],) if (
                self.wanted[number] == 'succeeded') else (
                    'cancelled', 'succeeded')  # it may have been done before
            check(job['state'] in fine, f'wanted {fine}: {job}')
            if job['state'] == 'succeeded':
                self.check_run(number)
        for output in (self.service.data / 'gangs').glob('*/output.log'):
            check('another process is running this conversion'
                  not in output.read_text(errors='replace'),
                  f'{output}: two gangs of a job')
        deadline = time.monotonic() + 10
        while processes(self.service.data):
            check(time.monotonic() < deadline,
                  f'left: {processes(self.service.data)}')
            time.sleep(0.05)

    def check_run(self, number):
        whole = self.whole(self.layouts[number])
        steps = losses(self.service.data / 'runs' / str(number))
        check(steps == whole,
              f'job {number} trained otherwise: {len(steps)} steps')
        self.count['steps'] += len(steps)

    def whole(self, ranks):
        folder = self.drill.folder / f'whole{ranks}'
        if not folder.exists():
            self.drill.tell('run', self.drill.job, '--set',
                            f'parallel.data={ranks}', '--out', folder)
        return losses(folder)


def losses(run):
    """[(step, loss as written), ...]"""
    out = []
    for line in (run / 'metrics.jsonl').read_text().splitlines():
        step = json.loads(line)
        out.append((step['global_step'], step['loss'], step['grad_norm']))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--caracal', required=True)
    parser.add_argument('--caracald', required=True)
    parser.add_argument('--model', required=True)
    parser.add_argument('--kills', type=int, default=1000)
    parser.add_argument('--seed', type=int, default=1)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    began = time.monotonic()
    with gang.Drill(options.caracal, options.model, TRANSFER,
                    FINETUNE) as drill:
        service = Service(drill, options.caracald,
                          random.Random(options.seed + 1))
        it = ServiceDrill(drill, service, dice)
        try:
            it.run(options.kills)
            it.end_in_peace()
        except gang.DrillError as error:
            print(f'service_drill.py: {error}', file=sys.stderr)
            log = drill.folder / 'daemon.txt'
            print(log.read_text(errors='replace')[-2000:], file=sys.stderr)
            return 1
        finally:
            service.kill()
            while there := processes(service.data):
                for victims in there.values():
                    for victim, _ in victims:
                        try:
                            os.kill(victim, signal.SIGKILL)
                        except ProcessLookupError:
                            pass
        it.count['requests cut'] = service.proxy.cut['request']
        it.count['responses cut'] = service.proxy.cut['response']
        it.count['seconds'] = round(time.monotonic() - began)
        print(json.dumps(dict(sorted(it.count.items()))))
    return 0


if __name__ == '__main__':
    sys.exit(main())
