#!/usr/bin/env python3
"""Loss curves of one job on several layouts of ranks.

    curves_drill.py --caracal CARACAL --model MODEL [--steps N]
                    [--layouts 2x1,1x2,...]

N steps of attention transfer and N of fine-tuning with scheduled dropout (the
preset ssd) on one process and on each layout, data x tensor (x layer): no loss
is more than 1% from the one process's. One layout is run twice: the same bits. Exit
status 0 only when that held. For each layout the largest deviation of each
stage is printed.
"""
import argparse
import sys

import gang

LAYOUTS = '2x1,1x2,2x2,4x1,1x3,1x4,1x1x2,2x1x2,1x2x2'
LIMIT = 0.01


def deviations(found, expected):
    """The largest by stage, relative to the expected loss."""
    gang.check([step[:2] for step in found] == [step[:2] for step in expected],
               'other steps')
    worst = {}
    for (stage, _, loss), (_, _, right) in zip(found, expected):
        worst[stage] = max(worst.get(stage, 0), abs(loss - right) / right)
    return worst


def curves_drill(drill, layouts):
    def losses(layout, name):
        run = drill.run(name)
        run.finish(layout, '--set', 'checkpoint.every_steps=0')
        return run.losses()

    expected = losses(gang.Layout(1, 1), '1x1')
    for layout in layouts:
        found = losses(layout, str(layout))
        worst = deviations(found, expected)
        print(f'{layout}: ' + ', '.join(
            f'{stage} {value:.1e}' for stage, value in worst.items()))
        gang.check(max(worst.values()) <= LIMIT,
                   f'{layout}: more than {LIMIT} from one process')
    gang.check(losses(layouts[-1], 'again') == found,
               f'{layouts[-1]} twice is not the same')
    print(f'{layouts[-1]} twice: the same bits')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--caracal', required=True)
    parser.add_argument('--model', required=True)
    parser.add_argument('--steps', type=int, default=50)
    parser.add_argument('--layouts', default=LAYOUTS)
    options = parser.parse_args()
    layouts = [gang.Layout.parse(text) for text in options.layouts.split(',')]
    with gang.Drill(options.caracal, options.model, options.steps,
                    options.steps) as drill:
        try:
            curves_drill(drill, layouts)
        except gang.DrillError as error:
            print(f'FAILED: {error}', file=sys.stderr)
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
