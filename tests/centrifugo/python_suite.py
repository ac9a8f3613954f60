"""Runs the client tests of centrifuge-python, unmodified, against a server at another port.

Usage: python_suite.py FOLDER HOST PORT, with the folder of the unpacked source distribution. Each
test has a time limit, for the tests have none. The last line is `ran N, failed M`.
"""

import signal
import socket
import sys
import unittest

TIME_LIMIT_SECONDS = 30

folder, host, port = sys.argv[1:]
sys.path.insert(0, folder)

import centrifuge  # noqa: E402 - from that folder
from tests import test_client  # noqa: E402

resolve = socket.getaddrinfo


def resolve_suite(name, service, *args, **options):
    """Resolves the address that the tests name to that of the server under test."""
    if (name, service) == ("localhost", 8000):
        name, service = host, int(port)
    return resolve(name, service, *args, **options)


class SubscribedClient(centrifuge.Client):
    """A client that is subscribed before it disconnects.

    TestAutoRecovery disconnects right after it asked for a subscription, and relies on a position
    that the client has only once it is answered: on a busy machine it is not.
    """

    async def disconnect(self):
        for subscription in self.subscriptions().values():
            if subscription.state is centrifuge.SubscriptionState.SUBSCRIBING:
                await subscription.ready(timeout=TIME_LIMIT_SECONDS)
        await super().disconnect()


class TimedResult(unittest.TextTestResult):
    def startTest(self, test):
        super().startTest(test)
        is_racy = "TestAutoRecovery" in test.id()
        test_client.Client = SubscribedClient if is_racy else centrifuge.Client
        signal.alarm(TIME_LIMIT_SECONDS)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)


def on_alarm(*_):
    raise TimeoutError(f"the test took longer than {TIME_LIMIT_SECONDS} s")


socket.getaddrinfo = resolve_suite
signal.signal(signal.SIGALRM, on_alarm)
suite = unittest.defaultTestLoader.loadTestsFromModule(test_client)
result = unittest.TextTestRunner(resultclass=TimedResult, verbosity=2).run(suite)
print(f"ran {result.testsRun}, failed {len(result.failures) + len(result.errors)}")
