#!/usr/bin/env python3
"""Submits a job to caracald, follows it to its end, and prints its losses.

    submit_and_watch.py JOB [--priority N] [--server SERVER] [--ca FILE]
        [--certificate FILE --certificate-key FILE] [--token-file FILE]

JOB is a file as `caracal submit` takes it, but its paths are absolute: they are
those of the coordinator's machine. SERVER is HOST:PORT, or the path of the
coordinator's endpoint.json; default: CARACAL_SERVER, or 127.0.0.1:7272. The
other options, and their variables, are those of `caracal`. Exit status 0 when
the job succeeded.

docs/python.md says how the stubs that it imports are made.
"""

import argparse
import json
import sys
import time
import uuid

import grpc

import coordinator
from proto import coordinator_pb2 as pb

FINAL = ('SUCCEEDED', 'FAILED', 'CANCELLED')
PATIENCE_S = 60  # with a coordinator that is away, and may come back


def submit(server, path, priority):
    """The job's id. Safe to try again: the key makes it the same job."""
    with open(path, encoding='utf-8') as file:
        text = file.read()
    request = pb.SubmitRequest(job=text, priority=priority,
                               idempotency_key=uuid.uuid4().hex)
    call = {'timeout': 30, 'wait_for_ready': True,
            'metadata': server.metadata()}
    jobs = server.jobs()
    try:
        return jobs.Submit(request, **call).id
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
            raise
        # An error has room for the first problems only; this tells all.
        problems = jobs.Validate(request, **call).problems
        raise coordinator.Refused('\n'.join(
            ': '.join(part for part in (p.where.replace('job', path, 1),
                                        p.field, p.message) if part)
            for p in problems) or error.details()) from error


def pushback_s(error):
    """How long the coordinator says to wait; None: it does not say."""
    for key, value in error.trailing_metadata() or ():
        if key == 'grpc-retry-pushback-ms':
            return int(value) / 1000
    return None


def events(server, job):
    """All events of the job, each once, over losses of the connection."""
    last = 0
    failing_since = None
    pause = 0.2
    while True:
        try:
            # It may have come back elsewhere: another stub.
            stream = server.jobs().Watch(
                pb.WatchRequest(job=job, after=last),
                metadata=server.metadata())
            # Let in, though a quiet job may have nothing to tell for hours.
            if any(key == 'caracal-stream'
                   for key, _ in stream.initial_metadata() or ()):
                failing_since, pause = None, 0.2
            for event in stream:
                last = event.sequence
                yield event
            wait = 0.2
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                # Too slow a reader, which goes on after the last event seen;
                # or too many calls.
                told = pushback_s(error)
                if told is not None and told < 0:
                    raise
                wait = max(pause, told or 0)
                pause = min(2 * pause, 5)
            elif error.code() in (grpc.StatusCode.UNAVAILABLE,
                                  grpc.StatusCode.CANCELLED):
                wait = 0.2
            else:
                raise
        failing_since = failing_since or time.monotonic()
        if time.monotonic() - failing_since > PATIENCE_S:
            raise TimeoutError('the coordinator is away')
        time.sleep(wait)


def watch(server, job):
    """Prints what happens; returns the state that the job ended in."""
    for event in events(server, job):
        data = json.loads(event.data)
        if event.kind == 'metrics':
            print(f"{data['stage']} step {data['step']}: loss {data['loss']}",
                  flush=True)
        elif event.kind == 'state':
            reason = f" ({data['reason']})" if 'reason' in data else ''
            print(f"{data['state'].lower()}{reason}", flush=True)
            if data['state'] in FINAL:
                return data['state']


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('job')
    parser.add_argument('--priority', type=int, default=0)
    coordinator.add_options(parser)
    options = parser.parse_args()
    try:
        server = coordinator.Server(options)
        job = submit(server, options.job, options.priority)
        print(f'job {job}', flush=True)
        return 0 if watch(server, job) == 'SUCCEEDED' else 1
    except OSError as error:
        print(f'{error.filename}: {error.strerror}' if error.filename
              else error, file=sys.stderr)
        return 1
    except coordinator.Refused as error:
        print(error, file=sys.stderr)
        return 1
    except grpc.RpcError as error:
        print(server.explain(error), file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
