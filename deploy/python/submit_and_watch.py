#!/usr/bin/env python3
"""Submits a job to caracald, follows it to its end, and prints its losses.

    submit_and_watch.py JOB [--server SERVER] [--priority N]

JOB is a file as `caracal submit` takes it, but its paths are absolute: they are
those of the coordinator's machine. SERVER is HOST:PORT, or the path of the
coordinator's endpoint.json; default: CARACAL_SERVER, or 127.0.0.1:7272. Exit
status 0 when the job succeeded.

docs/python.md says how the stubs that it imports are made.
"""

import argparse
import json
import os
import sys
import time
import uuid

import grpc

from proto import coordinator_pb2 as pb
from proto import coordinator_pb2_grpc as rpc

FINAL = ('SUCCEEDED', 'FAILED', 'CANCELLED')
PATIENCE_S = 60  # with a coordinator that is away, and may come back


def connect(server):
    """A stub; `server` may have come back elsewhere since the last one."""
    if '/' in server:
        with open(server, encoding='utf-8') as file:
            server = json.load(file)['address']
    return rpc.JobsStub(grpc.insecure_channel(
        server, options=[('grpc.enable_http_proxy', 0)]))


def submit(server, text, priority):
    """The job's id. Safe to try again: the key makes it the same job."""
    request = pb.SubmitRequest(job=text, priority=priority,
                               idempotency_key=uuid.uuid4().hex)
    return connect(server).Submit(request, timeout=30, wait_for_ready=True).id


def events(server, job):
    """All events of the job, each once, over losses of the connection."""
    last = 0
    away_since = None
    while True:
        try:
            stream = connect(server).Watch(
                pb.WatchRequest(job=job, after=last))
            for event in stream:
                away_since = None
                last = event.sequence
                yield event
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                continue  # we were too slow: go on after the last one seen
            if error.code() not in (grpc.StatusCode.UNAVAILABLE,
                                    grpc.StatusCode.CANCELLED):
                raise
        away_since = away_since or time.monotonic()
        if time.monotonic() - away_since > PATIENCE_S:
            raise TimeoutError('the coordinator is away')
        time.sleep(0.2)


def watch(server, job):
    """Prints what happens; returns the state that the job ended in."""
    for event in events(server, job):
        data = json.loads(event.data)
        if event.kind == 'metrics':
            print(f"{data['stage']} step {data['step']}: loss {data['loss']}",
                  flush=True)
        elif event.kind == 'state':
            reason = f" ({data['reason']})" if 'reason' in data else ''
            print(f"{data['state']}{reason}", flush=True)
            if data['state'] in FINAL:
                return data['state']


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('job')
    parser.add_argument('--server', default=os.environ.get(
        'CARACAL_SERVER', '127.0.0.1:7272'))
    parser.add_argument('--priority', type=int, default=0)
    options = parser.parse_args()
    with open(options.job, encoding='utf-8') as file:
        text = file.read()
    try:
        job = submit(options.server, text, options.priority)
        print(f'job {job}', flush=True)
        return 0 if watch(options.server, job) == 'SUCCEEDED' else 1
    except grpc.RpcError as error:
        # Of a bad job, all that is wrong with it, a line each.
        print(f'{error.code().name}: {error.details()}', file=sys.stderr)
        return 1


if __name__ == '__main__':
    sys.exit(main())
