"""Attacks by sessions, subscriptions and streams of updates."""
import time

import wire
from attacks_calls import BURST, HOUR, many_calls, set_value
from http2 import Connection
from registry import attack


def subscribe(connection, session, source, wait=True):
    stream = connection.call("Subscribe", wire.message((1, session), (2, source)))
    return connection.answer(stream) if wait else None


@attack
def one_session_of_great_subscriptions(node):
    """4,000 subscriptions of 60 KB names in one session: a limit says no before memory does."""
    connection = Connection(node)
    refused = 0
    for number in range(4_000):
        answer = subscribe(connection, "GREAT", f"{number:06}" + "n" * 60_000)
        if answer is None:
            return "a subscription was not answered"
        refused += answer[0] != 0
        if refused > 20:
            break
    connection.close()
    return "" if refused else "240 MB of names were taken for one session"


@attack
def sessions_without_number(node):
    """20,000 sessions of one subscription each. (Short: 5,000.)"""
    connection = Connection(node)
    for number in range(node.many(20_000, 5_000)):
        connection.call("Subscribe", wire.message((1, f"SESSION{number}"), (2, "source")))
        if number % 200 == 0:
            connection.read(0.01)
    connection.read(node.many(2, 1))
    connection.close()


@attack
def streams_never_read(node):
    """500 listeners of one source who never read, while 40 MB are written to it. (Short: 50 and 10 MB.)"""
    listeners = Connection(node, initial_window=0)
    writer = Connection(node)
    for number in range(node.many(500, 50)):
        subscribe(writer, f"DEAF{number}", "loud")
        listeners.call("Listen", wire.message((1, f"DEAF{number}")), HOUR)
    for _ in range(node.many(160, 40)):
        answer = writer.ask_paced("SetValue", set_value("loud", "key", b"x" * (256 << 10)))
        if answer is None or answer[0] != 0:
            return f"a write was answered {answer}"
    listeners.close()
    writer.close()
    return ""


@attack
def states_never_read(node):
    """200 listeners of a state of 20 MB who never read it. (Short: 100 of 5 MB.)"""
    writer = Connection(node)
    for number in range(node.many(80, 20)):
        answer = writer.ask_paced("SetValue", set_value("state", f"key{number}", b"x" * (256 << 10)))
        if answer is None or answer[0] != 0:
            return f"a write was answered {answer}"
    listeners = Connection(node, initial_window=0)
    for number in range(node.many(200, 100)):
        subscribe(writer, f"STATE{number}", "state")
        listeners.call("Listen", wire.message((1, f"STATE{number}"), (3, 1)), HOUR)
    listeners.read(node.many(2, 1))
    listeners.close()
    writer.close()
    return ""


@attack(p99_ms=2_500, because=BURST)
def many_streams_on_one_connection(node):
    """20,000 Listen streams on one connection. (Short: 5,000.)"""
    connection = Connection(node)
    many_calls(connection, node.many(20_000, 5_000), "Listen", wire.message((1, "MANY")))
    connection.read(node.many(3, 1))
    connection.close()


@attack
def listen_again_and_again(node):
    """One session whose Listen is taken over 5,000 times."""
    connection = Connection(node)
    subscribe(connection, "AGAIN", "again")
    for _ in range(50):
        many_calls(connection, 100, "Listen", wire.message((1, "AGAIN"), (3, 1)))
        connection.read(0.02)
    connection.close()


@attack
def subscribing_and_unsubscribing(node):
    """Two seconds of Subscribe and Unsubscribe of the same, as fast as they go."""
    connection = Connection(node)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        for method in ("Subscribe", "Unsubscribe"):
            many_calls(connection, 100, method, wire.message((1, "CHURN"), (2, "churn")), "5S")
        connection.read(0.02)
    connection.close()
