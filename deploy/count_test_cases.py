#!/usr/bin/env python3
"""Counts test cases of one `bazel test` run and prints "N passed, M failed".

    count_test_cases.py BUILD_EVENTS.json

BUILD_EVENTS.json is what --build_event_json_file wrote: it names the test.xml
of every test that belongs to the run, also of those answered from the cache,
and no stale one. Of a flaky test's attempts the last one counts; the shards of
a test add up. A test program that died without naming a failed case counts as
one failed case, and so does a test that could not be built. Tests that are not
for this build (those of the GPU, without --config=cuda) are named and count
nowhere. Exit status 0 only when cases ran and none failed.
"""
import json
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree


def read_events(path):
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def case_counts(xml_path):
    """(passed, failed) of a JUnit file; (0, 0) of a missing or broken one."""
    try:
        root = ElementTree.parse(xml_path).getroot()
    except (OSError, ElementTree.ParseError):
        return 0, 0
    passed = failed = 0
    for suite in root.iter('testsuite'):
        def count(name):
            return int(suite.get(name) or 0)
        broken = count('failures') + count('errors')
        failed += broken
        passed += count('tests') - broken - count('skipped') - count('disabled')
    return passed, failed


def summarise(events):
    """-> (passed, failed, lines that say what failed or was left out)"""
    last_attempt = {}  # (label, run, shard) -> (attempt, result)
    tests, unbuilt, incompatible = set(), [], []
    finished = None
    for event in events:
        id_ = event['id']
        if 'testResult' in id_:
            test = id_['testResult']
            key = test['label'], test.get('run', 1), test.get('shard', 1)
            attempt = test.get('attempt', 1), event.get('testResult', {})
            if key not in last_attempt or last_attempt[key][0] < attempt[0]:
                last_attempt[key] = attempt
        elif 'targetConfigured' in id_:
            if 'testSize' in event.get('configured', {}):
                tests.add(id_['targetConfigured']['label'])
        elif 'targetCompleted' in id_:
            if event.get('aborted', {}).get('reason') == 'SKIPPED':
                incompatible.append(id_['targetCompleted']['label'])
            elif not event.get('completed', {}).get('success'):
                unbuilt.append(id_['targetCompleted']['label'])
        elif 'buildFinished' in id_:
            finished = event.get('finished', {}).get('exitCode', {})
    passed = failed = 0
    lines = []
    for (label, _, _), (_, result) in sorted(last_attempt.items()):
        status = result.get('status', 'NO_STATUS')
        xml = [output['uri'] for output in result.get('testActionOutput', [])
               if output['name'] == 'test.xml' and 'uri' in output]
        good, bad = (case_counts(urllib.parse.unquote(
            urllib.parse.urlparse(xml[0]).path)) if xml else (0, 0))
        if status != 'PASSED' and not bad:
            bad = 1
        passed, failed = passed + good, failed + bad
        if bad:
            lines.append(
                f'FAILED {label}: {status}, {bad} of {good + bad} cases failed')
    ran = {label for label, _, _ in last_attempt}
    for label in sorted(set(unbuilt) - ran):
        lines.append(f'FAILED {label}: not built')
        failed += label in tests
    code = 'no end of the build was recorded' if finished is None else (
        finished.get('name', 'SUCCESS'))
    if code != 'SUCCESS' and not failed:
        failed = 1  # e.g. a BUILD file that does not parse
        lines.append(f'FAILED bazel: {code}')
    left_out = sorted(tests.intersection(incompatible))
    if left_out:
        lines.append('not for this build: ' + ' '.join(left_out))
    return passed, failed, lines


def main():
    passed, failed, lines = summarise(read_events(sys.argv[1]))
    for line in lines:
        print(line)
    if passed + failed == 0:
        print('no test case ran')
    print(f'{passed} passed, {failed} failed')
    return 0 if passed and not failed else 1


if __name__ == '__main__':
    sys.exit(main())
