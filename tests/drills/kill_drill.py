#!/usr/bin/env python3
"""kill -9 at random moments of a small job, again and again.

    kill_drill.py --caracal CARACAL --model MODEL [--kills N] [--seed S]

Runs are started, killed and resumed until they are done, then the next one
begins, until N kills hit. A kill hits one rank, all ranks, mpirun, or all
processes, at any moment or while a checkpoint is being written. Some runs keep
their layout of ranks, others go on on another one after each kill. After each
kill:
  - the gang ends within 10 s, and leaves no process behind
  - a rank that is killed while the gang trains is told of in one line
  - every checkpoint that has a manifest is whole
  - none that had one when the kill came is lost, and the next start goes on
    from the newest
At the end of a run, every step is there once, with the loss that the
uninterrupted run has: the same bits on the same layout, within 1e-4 of it
where the layout changed (as the losses of any two layouts are); on the same
layout the finished model measures as the uninterrupted run's does, bit for bit.

Exit status 0 only when all of it held. The numbers are printed as one line of
JSON.
"""
import argparse
import collections
import json
import random
import subprocess
import sys
import time

import gang

LAYOUTS = ['2x2', '4x1', '1x3', '2x1', '1x2', '1x1x2', '2x1x2']
TRANSFER, FINETUNE = 24, 24


class KillDrill:
    def __init__(self, drill, dice, layouts):
        self.drill = drill
        self.dice = dice
        self.layouts = layouts
        self.whole = {}    # by layout: the uninterrupted run
        self.seconds = {}  # how long that took
        self.count = collections.Counter()

    def uninterrupted(self, layout):
        if layout not in self.whole:
            run = self.drill.run(f'whole_{layout}')
            began = time.monotonic()
            run.finish(layout)
            self.seconds[layout] = time.monotonic() - began
            self.whole[layout] = run
        return self.whole[layout]

    def aim(self, run, layout):
        """Waits for the moment. False when the gang ended before it came."""
        if self.dice.random() < 0.5:
            moment = self.dice.uniform(0, self.seconds[layout])
            try:
                run.process.wait(moment)
                return False
            except subprocess.TimeoutExpired:
                self.count['at any moment'] += 1
                return True
        # Not the next checkpoint, but one of those that the run still writes.
        skip = self.dice.randrange(self.drill.steps // 4)
        seen = run.being_written()
        while run.process.poll() is None:
            now = run.being_written()
            if now and not seen:
                skip -= 1
                if skip < 0:
                    time.sleep(self.dice.uniform(0, 0.004))
                    self.count['in a write'] += 1
                    return True
            seen = now
            time.sleep(0.0005)
        return False

    def strike(self, run):
        """Kills, and waits for the end of everything."""
        family, ranks = run.processes(), run.ranks()
        victims = self.dice.choices(
            ['one rank', 'all ranks', 'mpirun', 'everything'],
            [60, 20, 10, 10])[0]
        if not ranks:  # Not started yet, or all but over.
            victims = 'everything'
        committed = run.checkpoints()
        gang.kill({'one rank': lambda: [self.dice.choice(ranks)],
                   'all ranks': lambda: ranks,
                   'mpirun': lambda: family[1:2],
                   'everything': lambda: family}[victims]())
        self.count[victims] += 1
        began = time.monotonic()
        status = run.wait(10)
        gang.gone(family)
        self.count['slowest end, ms'] = max(
            self.count['slowest end, ms'],
            int(1000 * (time.monotonic() - began)))
        # 0: it had just ended; -9: killed itself; 75: go on.
        gang.check(status in (0, 75, -9), f'exit status {status}: {run.errors}')
        told = [line for line in run.errors.splitlines()
                if line.startswith('caracal-worker: ')]
        gang.check(len(told) <= 1, f'more than one line: {told}')
        if victims == 'one rank':
            # Ranks that have met watch each other until they part.
            if told:
                how = 'told by a rank'
            elif committed and committed[-1] == self.drill.steps:
                how = 'after the last checkpoint'
            else:
                how = 'while starting'
                gang.check(' step ' not in run.errors,
                           f'no rank told: {run.errors}')
            self.count[f'one rank, {how}'] += 1
        return committed

    def inspect(self, run, committed):
        run.verify()
        now = run.checkpoints()
        if committed:
            # Older ones are pruned as newer ones come.
            gang.check(now and now[-1] >= committed[-1],
                       f'step {committed[-1]} is gone, there is {now}')

    def live(self, number, kills):
        """One run from its start to its end."""
        layout = gang.Layout.parse(self.dice.choice(self.layouts))
        moves = self.dice.random() < 0.4
        first = layout
        run = self.drill.run(f'run_{number}')
        went = []  # the layouts it was on
        while True:
            self.uninterrupted(layout)
            newest = (run.checkpoints() or [0])[-1]
            run.start(layout)
            went.append(str(layout))
            struck = self.count['kills'] < kills and self.aim(run, layout)
            if struck:
                committed = self.strike(run)
                self.count['kills'] += 1
            else:
                status = run.wait()
                gang.check(status == 0, f'exit status {status}: {run.errors}')
            after = run.went_on_after()
            gang.check(after in (0, newest) and (struck or after == newest),
                       f'went on after step {after}, not {newest}')
            if not struck:
                break
            self.inspect(run, committed)
            if moves:
                layout = gang.Layout.parse(self.dice.choice(self.layouts))
        self.compare(run, first, layout, went)
        run.remove()
        self.count['runs'] += 1
        if len(set(went)) > 1:
            self.count['runs on several layouts'] += 1

    def compare(self, run, first, last, went):
        expected = self.uninterrupted(first).losses()
        found = run.losses()
        gang.check([step[:2] for step in found] ==
                   [step[:2] for step in expected],
                   f'other steps: {[step[:2] for step in found]}')
        same = len(set(went)) == 1
        for a, b in zip(found, expected):
            near = a[2] == b[2] if same else abs(a[2] - b[2]) <= 1e-4 * b[2]
            gang.check(near, f'{a} instead of {b} on {went}')
        step = self.drill.steps
        gang.check(run.checkpoints()[-1] == step, 'the last step was not saved')
        if same:
            gang.check(self.uninterrupted(first).measure() == run.measure(),
                       f'another model on {went}')
            self.count['runs on one layout'] += 1
        # Only what the manifests list is left.
        for folder in (run.folder / 'checkpoints').glob('checkpoint-*'):
            gang.check((folder / 'manifest.json').exists(),
                       f'{folder} was left behind')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--caracal', required=True)
    parser.add_argument('--model', required=True)
    parser.add_argument('--kills', type=int, default=200)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--layouts', default=','.join(LAYOUTS),
                        help='data x tensor, as in 2x2,4x1')
    options = parser.parse_args()
    began = time.monotonic()
    with gang.Drill(options.caracal, options.model, TRANSFER,
                    FINETUNE) as drill:
        kill_drill = KillDrill(drill, random.Random(options.seed),
                               options.layouts.split(','))
        number = 0
        try:
            while kill_drill.count['kills'] < options.kills:
                number += 1
                kill_drill.live(number, options.kills)
                print(f'run {number}: {kill_drill.count["kills"]} kills, '
                      f'{time.monotonic() - began:.0f} s', file=sys.stderr)
        except gang.DrillError as error:
            print(f'FAILED in run {number}, after '
                  f'{kill_drill.count["kills"]} kills, seed {options.seed}: '
                  f'{error}', file=sys.stderr)
            return 1
    print(json.dumps({'seed': options.seed, **kill_drill.count,
                      'seconds': round(time.monotonic() - began)}))
    return 0


if __name__ == '__main__':
    sys.exit(main())
