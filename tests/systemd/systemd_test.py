"""The units of scripts/systemd under a real systemd: systemd_test.py --bin BUILD [--keep] [CASE...]

Each case is one line of TAP with its figure. Exit code 77 and a word where this machine has no namespaces for it. --keep leaves
the bed's console and certificates in BUILD/systemd-test.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bed import Bed, Unavailable, await_true  # noqa: E402
from nodes import CLIENT, PORTS, TLS, Nodes, Unit, at, unit  # noqa: E402

SCORE_MAX = 2.0
READY_SECONDS_MAX = 5.0  # of an empty folder or a small one, on a machine that does other things too
STOP_SECONDS_MAX = 3.0
EXIT_SKIPPED = 77
ROOT = pathlib.Path(__file__).resolve().parents[2]
CASES = []


def case(function):
    CASES.append(function)
    return function


class World:
    """The bed, and what the cases share."""

    def __init__(self, bed):
        self.bed = bed
        self.nodes = Nodes(bed)

    def unit(self, name):
        return Unit(self.bed, name)

    def set(self, address, key, *flags):
        return self.bed.run("iris-cli", "set", "s", key, "v", "-addr", address, *(flags or CLIENT), check=False)

    def tidy_up(self):
        """After a case that failed, so that the others do not."""
        end_alone(self)

    def drop_in(self, name, text):
        """A drop-in of that unit; empty text removes it."""
        path = f"/etc/systemd/system/{name}.d/test.conf"
        if text:
            self.bed.write(path, text)
        else:
            self.bed.run("rm", "-f", path)
        self.bed.run("systemctl", "daemon-reload")


@case
def units_are_valid_and_hardened(world):
    names = ["iris.service", "iris@a.service", "iris.socket", "iris-backup@a.service", "iris-backup@a.timer"]
    said = world.bed.run("systemd-analyze", "verify", "--man=no", *names)
    assert not said.stderr.strip(), said.stderr
    worst = 0.0
    for name in ("iris.service", "iris@a.service", "iris-backup@a.service"):
        text = world.bed.said("systemd-analyze", "security", "--no-pager", name)
        score = float(re.search(r"exposure level for \S+: ([\d.]+)", text).group(1))
        assert score <= SCORE_MAX, f"{name}: {score}\n{text}"
        worst = max(worst, score)
    return f"exposure at most {worst}"


@case
def without_a_configuration_nothing_starts(world):
    world.bed.run("systemctl", "start", "iris.service", "iris@none.service")
    for name in ("iris.service", "iris@none.service"):
        assert world.unit(name).ConditionResult == "no"
        assert world.unit(name).ActiveState == "inactive"


@case
def three_instances_are_ready_and_found_one_cluster(world):
    world.nodes.write_files()
    begin = time.monotonic()
    world.bed.run("systemctl", "start", *map(unit, world.nodes.names))
    leader = world.nodes.await_whole()
    whole = time.monotonic() - begin
    ready = [world.unit(unit(name)).start_seconds() for name in world.nodes.names]
    assert max(ready) < READY_SECONDS_MAX, ready
    for name in world.nodes.names:
        one = world.unit(unit(name))
        one.await_status(r"^leader of 3 voters$" if name == leader else f"^following the leader at {re.escape(at(leader))}$")
        folder = world.bed.said("stat", "-c", "%U %a", f"/var/lib/iris/{name}")
        assert folder == "iris 700", folder
        assert world.bed.run("ls", f"/var/lib/iris/{name}/raftDir").stdout
    return f"READY after {max(ready):.2f} s, one cluster after {whole:.1f} s"


@case
def load_under_the_filter_of_system_calls_kills_nobody(world):
    addresses = ",".join(map(at, world.nodes.names))
    world.bed.run("iris-bench", "set", "-duration", "2s", "-warmup", "1s", "-addr", addresses, *CLIENT[1:])
    for name in world.nodes.names:
        assert world.unit(unit(name)).NRestarts == "0"
    return "2 s of iris-bench"


@case
def journal_has_priorities(world):
    errors = world.unit("iris@none.service")
    world.bed.write("/etc/iris/none.conf", "nostela\nport 41030\n")
    world.bed.run("systemctl", "start", "iris@none.service", check=False)
    assert errors.ExecMainStatus == "78", errors.ExecMainStatus
    lines = errors.await_journal('"cannot start"', "-p", "err").splitlines()
    assert not any('"level":"info"' in line for line in lines), lines
    assert not any(line.startswith("<") for line in errors.journal().splitlines())
    text = errors.StatusText
    assert text.startswith("cannot start: server.crt"), text


@case
def what_cannot_mend_itself_is_not_tried_again(world):
    for text, code in (("nostela\nprot 1\n", "2"), ("nostela\nport 41030\n", "78")):
        world.bed.write("/etc/iris/none.conf", text)
        none = world.unit("iris@none.service")
        world.bed.run("systemctl", "start", none.name, check=False)
        assert (none.ExecMainStatus, none.ActiveState, none.NRestarts) == (code, "failed", "0")
    none.await_journal("/etc/iris/none.conf:2: unknown flag -prot; did you mean -port?")
    world.bed.run("rm", "/etc/iris/none.conf")
    world.bed.run("systemctl", "reset-failed", none.name)


@case
def reload_takes_new_certificates(world):
    name = world.nodes.names[0]
    one = world.unit(unit(name))

    def served():
        command = f"openssl s_client -connect {at(name)} -cert {TLS}/client.crt -key {TLS}/client.key </dev/null 2>/dev/null | openssl x509 -noout -serial"
        return world.bed.said("bash", "-c", command)
    before = served()
    assert before.startswith("serial="), before
    world.nodes.use_certificates("/share/certs-new")
    pid = one.MainPID
    begin = time.monotonic()
    world.bed.run("systemctl", "reload", one.name)
    await_true("the new certificate is served", lambda: served() not in ("", before))
    took = time.monotonic() - begin
    assert one.MainPID == pid
    assert "certificates" not in one.StatusText
    return f"served after {took:.2f} s"


@case
def reload_of_bad_certificates_is_told_in_the_status(world):
    name = world.nodes.names[0]
    one = world.unit(unit(name))
    pid = one.MainPID
    world.bed.run("cp", f"{TLS}/server.crt", "/tmp/good.crt")
    world.bed.write(f"{TLS}/server.crt", "nonsense\n")
    world.bed.run("systemctl", "reload", one.name)
    one.await_status(r"; new certificates are not in use: /etc/iris/tls/server.crt: ")
    assert (one.MainPID, one.ActiveState) == (pid, "active")
    done = world.set(at(name), "k")
    assert done.returncode == 0, done.stderr
    world.bed.run("cp", "/tmp/good.crt", f"{TLS}/server.crt")
    world.bed.run("systemctl", "reload", *map(unit, world.nodes.names))
    one.await_status(r"^(leader of|following the leader)[^;]*$")


def last_words(one):
    """What a unit that stopped said since it was told to."""
    return one.journal("-n", "20").rpartition('"stopping"')[2]


@case
def stop_of_the_leader_hands_over_and_exits_0(world):
    leader = world.nodes.await_whole()
    one = world.unit(unit(leader))
    others = [name for name in world.nodes.names if name != leader]
    begin = time.monotonic()
    world.bed.run("systemctl", "stop", one.name)
    took = time.monotonic() - begin
    assert took < STOP_SECONDS_MAX, took
    assert (one.Result, one.ExecMainStatus, one.ActiveState) == ("success", "0", "inactive")
    # Handed over: it saw another node lead before it went.
    await_true("its last word", lambda: '"stopped"' in last_words(one))
    assert '"another node leads"' in last_words(one), last_words(one)
    await_true("another node leads", lambda: world.nodes.leader(others))
    led = world.nodes.leader(others)
    world.unit(unit(led)).await_status(f"^leader of 3 voters; no connection to 127.0.0.1:{PORTS[leader] + 1}$")
    world.bed.run("systemctl", "start", one.name)
    world.nodes.await_whole()
    return f"stopped in {took:.2f} s"


@case
def restart_of_all_at_once_keeps_the_data(world):
    assert world.set(at("a"), "kept").returncode == 0
    begin = time.monotonic()
    world.bed.run("systemctl", "restart", *map(unit, world.nodes.names))
    world.nodes.await_whole()
    took = time.monotonic() - begin
    got = world.bed.said("iris-cli", "get", "s", "kept", "-addr", at("b"), *CLIENT)
    assert got == "v", got
    return f"whole after {took:.1f} s"


@case
def kill_9_is_restarted(world):
    one = world.unit(unit("b"))
    pid = one.MainPID
    world.bed.run("kill", "-9", pid)
    took = one.await_restart(pid)
    world.nodes.await_whole()
    assert one.NRestarts == "1", one.NRestarts
    return f"ready again after {took:.1f} s"


@case
def a_stopped_process_is_found_by_the_watchdog_and_restarted(world):
    one = world.unit(unit("c"))
    assert one.WatchdogUSec == "30s", one.WatchdogUSec
    world.drop_in(one.name, "[Service]\nWatchdogSec=2\n")
    world.bed.run("systemctl", "restart", one.name)
    world.nodes.await_whole()
    pid = one.MainPID
    world.bed.run("kill", "-STOP", pid)
    took = one.await_restart(pid)
    one.await_journal("Watchdog timeout", "-n", "50")
    world.nodes.await_whole()
    world.drop_in(one.name, "")
    return f"ready again after {took:.1f} s of a watchdog of 2 s"


PLAIN = ["-nostela", "-insecure"]
ALONE = "127.0.0.1:32000"


def write_alone(world):
    """The configuration of a node that is a cluster of its own."""
    world.bed.write("/etc/iris/iris.conf", "nostela\ninsecure\nlisten 127.0.0.1\n")


def end_alone(world):
    """The data that the next case finds is none."""
    world.bed.run("systemctl", "stop", "iris.socket", "iris.service")
    world.drop_in("iris.service", "")
    world.bed.run("rm", "-rf", "/var/lib/iris/raftDir", "/etc/iris/iris.conf")


@case
def a_restart_on_systemds_sockets_refuses_no_connection(world):
    write_alone(world)
    world.bed.run("systemctl", "start", "iris.socket")
    assert world.unit("iris.service").ActiveState == "inactive"
    done = world.set(ALONE, "first", *PLAIN)  # and the connection starts the node
    assert done.returncode == 0, done.stderr
    world.unit("iris.service").await_journal('"sockets_of_systemd":true')
    knocking = world.bed.start_process("python3", "/share/knock.py", "32000", "32001", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert knocking.stdout.readline() == "knocking\n"
    begin = time.monotonic()
    for _ in range(3):
        world.bed.run("systemctl", "restart", "iris.service")
        done = world.set(ALONE, "again", *PLAIN)
        assert done.returncode == 0, done.stderr
    took = time.monotonic() - begin
    said, _ = knocking.communicate("\n", timeout=30)
    knocks, refused = map(int, said.split())
    assert knocks > 0 and refused == 0, said
    end_alone(world)
    return f"3 restarts in {took:.1f} s, {knocks} connections, {refused} refused"


@case
def a_socket_at_another_port_is_named(world):
    world.drop_in("iris.socket", "[Socket]\nListenStream=\nListenStream=32100\nListenStream=32101\n")
    write_alone(world)
    world.bed.run("systemctl", "start", "iris.socket")
    world.bed.run("systemctl", "start", "iris.service", check=False)
    one = world.unit("iris.service")
    assert one.ExecMainStatus == "78", one.ExecMainStatus
    assert "a socket at port 32100, and this node's are 32000 (-port) and 32001" in one.StatusText, one.StatusText
    world.drop_in("iris.socket", "")
    end_alone(world)
    world.bed.run("systemctl", "reset-failed", "iris.service")


@case
def a_key_that_only_root_reads_comes_as_a_credential(world):
    world.bed.run("install", "-m", "600", "/share/certs/server.key", "/etc/iris/server.key")
    world.drop_in("iris.service", world.bed.said("cat", "/share/examples/credentials.conf"))
    world.bed.write("/etc/iris/iris.conf", "nostela\nlisten 127.0.0.1\ncert /share/certs/server.crt\nca /share/certs/ca.crt\n"
                    "key /run/credentials/iris.service/server.key\n")
    world.bed.run("systemctl", "start", "iris.service")
    flags = ["-nostela", "-ca", "/share/certs/ca.crt", "-clientCert", "/share/certs/client.crt", "-clientKey", "/share/certs/client.key"]
    done = world.set(ALONE, "k", *flags)
    assert done.returncode == 0, done.stderr
    end_alone(world)


@case
def backups_are_taken_and_the_latest_stay(world):
    folder = "/var/lib/private/iris-backup/x"
    world.bed.write("/etc/iris/backup-x.env", f"IRIS_ADDR={at('a')}\nIRIS_NOSTELA=true\nIRIS_CA=/share/certs/ca.crt\n"
                    "IRIS_CERT=/share/certs/client.crt\nIRIS_KEY=/run/credentials/iris-backup@x.service/client.key\nIRIS_BACKUP_KEEP=2\n")
    world.drop_in("iris-backup@x.service", f"[Service]\nLoadCredential=client.key:{TLS}/client.key\n")
    service = world.unit("iris-backup@x.service")
    world.bed.run("systemctl", "start", service.name)
    world.bed.run("bash", "-c", f"cd {folder} && for day in 1 2 3; do cp -p iris-202[1-9]*.backup iris-2020010${{day}}T000000Z.backup; done")
    first = world.bed.said("bash", "-c", f"cd {folder} && ls iris-202[1-9]*")
    await_true("a second has passed since the first backup", lambda: world.bed.said("date", "-u", "+iris-%Y%m%dT%H%M%SZ.backup") > first)
    world.bed.run("systemctl", "start", service.name)
    files = world.bed.said("ls", folder).split()
    assert len(files) == 2 and files[0] == first, files
    for file in files:
        world.bed.run("iris", "verify", f"{folder}/{file}")
    # One that fails removes nothing, and the unit says so.
    world.bed.run("sed", "-i", "s/^IRIS_ADDR=.*/IRIS_ADDR=127.0.0.1:9/", "/etc/iris/backup-x.env")
    world.bed.run("systemctl", "start", service.name, check=False)
    assert service.Result == "exit-code", service.Result
    assert world.bed.said("ls", folder).split() == files
    world.bed.run("systemctl", "start", "iris-backup@x.timer")
    assert world.unit("iris-backup@x.timer").NextElapseUSecRealtime
    world.bed.run("systemctl", "stop", "iris-backup@x.timer")


@case
def a_dynamic_user_keeps_its_data(world):
    # systemd moves the folder of the other units' data too, so that they do not run any more.
    world.bed.run("systemctl", "stop", *map(unit, world.nodes.names))
    one = world.unit("iris.service")
    world.drop_in(one.name, world.bed.said("cat", "/share/examples/dynamic-user.conf"))
    write_alone(world)
    for life in range(2):
        world.bed.run("systemctl", "start", one.name)
        user = world.bed.said("stat", "-c", "%u", f"/proc/{one.MainPID}")
        assert 61184 <= int(user) <= 65519, user  # systemd's range of dynamic users
        if life == 0:
            assert world.set(ALONE, "kept", *PLAIN).returncode == 0
            world.bed.run("systemctl", "stop", one.name)
    assert world.bed.said("iris-cli", "get", "s", "kept", "-addr", ALONE, *PLAIN) == "v"
    world.bed.run("systemctl", "stop", one.name)


def prepare_certificates(share):
    """Two pairs of certificates by one authority, which everybody inside may read: certs and certs-new."""
    share.mkdir(parents=True)
    subprocess.run([ROOT / "scripts/certs", share / "certs"], check=True)
    shutil.copytree(share / "certs", share / "certs-new")
    for name in ("server.crt", "server.key"):
        (share / "certs-new" / name).unlink()
    subprocess.run([ROOT / "scripts/certs", share / "certs-new"], check=True)
    for name in ("certs", "certs-new"):
        for file in (share / name).iterdir():
            file.chmod(0o644)
        (share / name).chmod(0o755)
    share.chmod(0o755)


def prepare_share(build, share):
    """What the bed shows as /share: the installed tree, certificates, and what the cases copy."""
    shutil.rmtree(share, ignore_errors=True)
    prepare_certificates(share)
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--skip-subprojects", "--destdir", share / "image"], check=True, stdout=subprocess.DEVNULL)
    shutil.copy(ROOT / "tests/systemd/knock.py", share)
    shutil.copytree(ROOT / "scripts/systemd/examples", share / "examples")


def install(bed):
    bed.run("cp", "-a", "--no-preserve=ownership", "/share/image/.", "/")
    bed.run("ldconfig")
    bed.run("systemd-sysusers")
    bed.run("systemctl", "daemon-reload")


def run_cases(world, chosen):
    failed = 0
    for number, function in enumerate(chosen, 1):
        begin = time.monotonic()
        name = function.__name__.replace("_", " ")
        try:
            figure = function(world)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {name}")
            world.tidy_up()
            print("# " + traceback.format_exc().replace("\n", "\n# "))
            print("# " + world.bed.run("journalctl", "-n", "40", "-o", "short-monotonic", check=False).stdout.replace("\n", "\n# "))
        else:
            print(f"ok {number} - {name}{': ' + figure if figure else ''} ({time.monotonic() - begin:.1f} s)")
        sys.stdout.flush()
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True, type=lambda text: pathlib.Path(text).resolve())
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("cases", nargs="*", metavar="CASE")
    asked = parser.parse_args()
    chosen = [function for function in CASES if not asked.cases or function.__name__ in asked.cases]
    folder = asked.bin / "systemd-test"
    bed = Bed(folder / "bed", folder / "share")
    try:
        bed.check()
        prepare_share(asked.bin, folder / "share")
        begin = time.monotonic()
        bed.start()
        install(bed)
        print(f"# systemd is up after {time.monotonic() - begin:.1f} s")
        failed = run_cases(World(bed), chosen)
    except Unavailable as why:
        print(f"skipped: {why}")
        return EXIT_SKIPPED
    finally:
        bed.stop()
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"1..{len(chosen)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
