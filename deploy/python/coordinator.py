"""Where a coordinator is and who calls it, as `caracal` has it.

    parser = argparse.ArgumentParser()
    coordinator.add_options(parser)
    server = coordinator.Server(parser.parse_args())
    server.jobs().Get(pb.GetJobRequest(id=1), metadata=server.metadata())
"""

import ipaddress
import json
import os
import pathlib
import stat

# Its own lines on standard error; what they tell of is in the errors.
os.environ.setdefault('GRPC_VERBOSITY', 'NONE')

import grpc

from proto import coordinator_pb2_grpc as rpc

# Option, variable, what it is.
FILES = (
    ('--ca', 'CARACAL_CA',
     'whose certificates to trust, in PEM format; by default as the '
     'endpoint.json says'),
    ('--certificate', 'CARACAL_CERTIFICATE',
     'certificate that says who you are'),
    ('--certificate-key', 'CARACAL_CERTIFICATE_KEY', 'its key'),
    ('--token-file', 'CARACAL_TOKEN_FILE',
     'holds your token; by default CARACAL_TOKEN, or '
     '~/.config/caracal/token'),
)


class Refused(Exception):
    """What is asked for can't be, or is not safe; for people."""


def add_options(parser):
    parser.add_argument(
        '--server', default=os.environ.get('CARACAL_SERVER') or
        '127.0.0.1:7272', help="HOST:PORT, or the path of the coordinator's "
        'endpoint.json')
    for option, variable, what in FILES:
        parser.add_argument(option, metavar='FILE',
                            default=os.environ.get(variable) or '', help=what)


def is_loopback(address):
    """Whether only this machine can be meant by HOST:PORT."""
    host = address.rpartition(':')[0].strip('[]')
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def read_token(path):
    info = os.stat(path)
    # Not of pipes, which a shell has made for this one use.
    if stat.S_ISREG(info.st_mode) and info.st_mode & 0o077:
        raise Refused(f'{path}: others can read this token; chmod 600 it, and '
                      'have it replaced if they may have')
    with open(path, encoding='ascii') as file:
        return file.read().strip()


def find_token(token_file):
    """'' when there is none."""
    if token_file:
        return read_token(token_file)
    token = os.environ.get('CARACAL_TOKEN', '').strip()
    if token:
        return token
    config = os.environ.get('XDG_CONFIG_HOME', '')
    folder = pathlib.Path(config if config.startswith('/')
                          else pathlib.Path.home() / '.config')
    path = folder / 'caracal' / 'token'
    return read_token(path) if path.exists() else ''


def read_file(path):
    with open(path, 'rb') as file:
        return file.read()


class Server:
    """A coordinator that may come back elsewhere: its endpoint.json is read
    again for each stub. OSError and Refused."""

    def __init__(self, options):
        self.options = options
        if bool(options.certificate) != bool(options.certificate_key):
            raise Refused('--certificate and --certificate-key go together')
        self.token = find_token(options.token_file)

    def endpoint(self):
        """{'address', 'ca', 'server_name'}, ca as bytes; b'': no TLS."""
        server = self.options.server
        endpoint = {'address': server}
        if '/' in server:
            with open(server, encoding='utf-8') as file:
                endpoint = json.load(file)
        ca = endpoint.get('ca', '').encode()
        if self.options.ca:
            ca = read_file(self.options.ca)
        return {'address': endpoint['address'], 'ca': ca,
                'server_name': endpoint.get('server_name', '')}

    def channel(self):
        endpoint = self.endpoint()
        # Never through a proxy, whatever the environment says.
        arguments = [('grpc.enable_http_proxy', 0)]
        if not endpoint['ca']:
            if self.options.certificate:
                raise Refused('--certificate needs TLS: --ca says whose '
                              'certificates to trust')
            if self.token and not is_loopback(endpoint['address']):
                raise Refused(
                    f"your token is not sent to {endpoint['address']} without "
                    'TLS; --ca says whose certificates to trust, or --server '
                    'names the endpoint.json, which does')
            return grpc.insecure_channel(endpoint['address'],
                                         options=arguments)
        if endpoint['server_name']:
            arguments.append(('grpc.ssl_target_name_override',
                              endpoint['server_name']))
        key = chain = None
        if self.options.certificate:
            key = read_file(self.options.certificate_key)
            chain = read_file(self.options.certificate)
        return grpc.secure_channel(
            endpoint['address'],
            grpc.ssl_channel_credentials(endpoint['ca'], key, chain),
            options=arguments)

    def jobs(self):
        return rpc.JobsStub(self.channel())

    def explain(self, error):
        """What an RpcError means, for people."""
        details = 'grpc-status-details-bin'
        # The coordinator's own has them; gRPC's, of one that is away, has not.
        is_away = error.code() == grpc.StatusCode.UNAVAILABLE and not any(
            key == details for key, _ in error.trailing_metadata() or ())
        if is_away or error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            return (f'no coordinator answers at {self.options.server}: start '
                    'one with caracald --data DIR, or say where it is with '
                    '--server or CARACAL_SERVER')
        return error.details()

    def metadata(self):
        """Of every call."""
        return [('authorization', f'Bearer {self.token}')] if self.token else []
