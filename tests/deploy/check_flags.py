"""Checks that the flags which files give to our programs exist.

    check_flags.py PROGRAM... -- FILE...

Programs come as paths, and are known by their names. Of a file it looks at
what follows a program's name, up to where a shell's command ends, and at lists
of flags in CARACALD_FLAGS.
"""

import os
import re
import subprocess
import sys

END = re.compile(r'[|;&`)<>#]|$')
# In PATH, or a path; not a user or a folder of that name.
NAME = re.compile(r'(?:^|(?<=[\s`"(])|(?<=bin/))'
                  r'(caracald|caracal-worker|caracal-evald|caracal)(?= )')
COMMAND = re.compile(r'\btoken (create|list|revoke)\b')  # of caracald
GROUPS = ('checkpoint', 'data', 'token')  # their commands have two words
FLAG = re.compile(r'(?<![\w-])--[a-z][a-z-]*')


def help_of(program, words=()):
    done = subprocess.run([program, *words, '--help'], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise ValueError(f'{program} {" ".join(words)} --help: {done.stdout}')
    return done.stdout


def commands_of(text):
    """(program, what follows) of all of our programs in a text."""
    text = re.sub(r'\\\n#?\s*', ' ', text)
    for line in text.split('\n'):
        found = re.search(r'CARACALD_FLAGS="([^"]*)"', line)
        if found:
            yield 'caracald', found.group(1)
            continue
        for found in re.finditer(NAME, line):
            rest = line[found.end():]
            rest = rest[:END.search(rest).start()]
            command = re.search(COMMAND, rest)
            if found.group(1) == 'caracald' and command:
                # Its own flags stand before the command, that one's behind.
                yield 'caracald', rest[:command.start()]
                yield 'caracald', rest[command.start():]
            else:
                yield found.group(1), rest


def main():
    split = sys.argv.index('--', 1)
    programs = {os.path.basename(p): p for p in sys.argv[1:split]}
    helps = {}
    checked, wrong = 0, []
    for path in sys.argv[split + 1:]:
        with open(path, encoding='utf-8') as file:
            text = file.read()
        for name, rest in commands_of(text):
            flags = FLAG.findall(rest)
            if not flags or name not in programs:
                continue
            words = ()
            if name == 'caracal':
                words = re.match(r'(\s+[a-z]+)*', rest).group().split()
                if not words:
                    continue  # prose, or --version
                words = tuple(words[:2 if words[0] in GROUPS else 1])
            elif re.match(COMMAND, rest):
                words = tuple(rest.split()[:2])
            key = (name, words)
            if key not in helps:
                helps[key] = set(FLAG.findall(help_of(programs[name], words)))
                helps[key] |= {'--help', '--version'}
            for flag in flags:
                checked += 1
                if flag not in helps[key]:
                    wrong.append(f'{path}: {" ".join((name, *words))} has no '
                                 f'{flag}')
    print('\n'.join(wrong), file=sys.stderr)
    print(f'{checked} flags')
    return 1 if wrong or checked == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
